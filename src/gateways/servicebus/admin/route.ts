// Which thing a path of the administration names.
import { Refusal } from '../../../kit/refusal.ts';
import { type WhichKey, whichKey } from '../root-keys.ts';

export type Route =
  | { readonly kind: 'namespace' }
  | { readonly kind: 'keys'; readonly which: WhichKey | undefined }
  | { readonly kind: 'entities'; readonly of: 'topic' | 'queue' }
  | { readonly kind: 'entity'; readonly name: string }
  | { readonly kind: 'subscriptions'; readonly topic: string }
  | { readonly kind: 'subscription'; readonly topic: string; readonly name: string }
  | { readonly kind: 'rules'; readonly topic: string; readonly subscription: string }
  | { readonly kind: 'rule'; readonly topic: string; readonly subscription: string; readonly name: string };

/** `path` has its percent signs still; names may hold slashes. */
export function routeOf(path: string): Route {
  const plain = decode(path).replace(/^\/+|\/+$/g, '');
  const lower = plain.toLowerCase();
  if (lower === '' || lower === '$namespaceinfo') return { kind: 'namespace' };
  if (lower === '$keys') return { kind: 'keys', which: undefined };
  if (lower.startsWith('$keys/')) return { kind: 'keys', which: whichKey(lower.slice('$keys/'.length)) };
  if (lower === '$resources/topics') return { kind: 'entities', of: 'topic' };
  if (lower === '$resources/queues') return { kind: 'entities', of: 'queue' };
  const at = `${lower}/`.indexOf('/subscriptions/');
  if (at < 0) return { kind: 'entity', name: plain };
  const topic = plain.slice(0, at);
  const rest = plain.slice(at + '/subscriptions/'.length);
  if (rest === '') return { kind: 'subscriptions', topic };
  const [subscription = '', rules, ...name] = rest.split('/');
  if (rules === undefined) return { kind: 'subscription', topic, name: subscription };
  if (rules.toLowerCase() !== 'rules') throw new Refusal('bad_request', 'The path names nothing that there is.');
  if (name.length === 0) return { kind: 'rules', topic, subscription };
  return { kind: 'rule', topic, subscription, name: name.join('/') };
}

/** The path under which rights are asked. */
export function grantedPath(route: Route): string {
  if (route.kind === 'entity') return route.name;
  if (route.kind === 'namespace' || route.kind === 'entities' || route.kind === 'keys') return '';
  return route.topic;
}

function decode(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    throw new Refusal('bad_request', 'The path holds a percent sign that encodes nothing.');
  }
}
