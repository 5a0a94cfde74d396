// Where the page is, kept in the address's hash: `#/topics/hr/events/7` is ['topics', 'hr', 'events', '7'].
import { useSyncExternalStore } from 'react';

export function useRoute(): readonly string[] {
  const hash = useSyncExternalStore(watch, () => window.location.hash);
  return parts(hash);
}

/** An address within the page, each part escaped: `to('people', 'ada')`. */
export function to(...path: readonly (string | number)[]): string {
  return `#/${path.map((part) => encodeURIComponent(part)).join('/')}`;
}

export function go(address: string): void {
  window.location.hash = address;
}

function parts(hash: string): readonly string[] {
  const path = hash.replace(/^#\/?/, '');
  return path === '' ? [] : path.split('/').map(decode);
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part; // somebody typed a stray %; it names nothing, and the page says so
  }
}

function watch(changed: () => void): () => void {
  window.addEventListener('hashchange', changed);
  return () => window.removeEventListener('hashchange', changed);
}
