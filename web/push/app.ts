// `/me` as an app: its service worker, a new version of it, installing it, the number on its icon.
import { useCallback, useEffect, useState, useSyncExternalStore } from 'react';
import { go } from '../kit/route.ts';
import { registerWorker } from './this-browser.ts';

const LOOK_FOR_UPDATES_MS = 60 * 60_000;

/**
 * Runs the service worker and opens what a click on a notification asks for. Returns a way to the new version once
 * there is one; undefined until then.
 */
export function useServiceWorker(): (() => void) | undefined {
  const [waiting, setWaiting] = useState<ServiceWorker>();
  useEffect(() => {
    if (!import.meta.env.PROD || !('serviceWorker' in navigator)) return;
    const over = new AbortController();
    navigator.serviceWorker.addEventListener('message', openWhatIsAsked, { signal: over.signal });
    void registerWorker()
      .then((registration) => watchUpdates(registration, setWaiting, over.signal))
      .catch(() => undefined); // without it there is no page without network and no push; everything else works
    return () => over.abort();
  }, []);
  const update = useCallback(() => {
    navigator.serviceWorker.addEventListener('controllerchange', () => window.location.reload(), { once: true });
    waiting?.postMessage('take over');
  }, [waiting]);
  return waiting && update;
}

function openWhatIsAsked({ data, ports }: MessageEvent): void {
  if (data?.kind !== 'open' || typeof data.address !== 'string') return;
  go(data.address || '#/');
  ports[0]?.postMessage('opened');
}

type Found = (worker: ServiceWorker) => void;

function watchUpdates(registration: ServiceWorkerRegistration, found: Found, signal: AbortSignal): void {
  // The first one ever is no update.
  const look = () => registration.waiting && navigator.serviceWorker.controller && found(registration.waiting);
  look();
  registration.addEventListener(
    'updatefound',
    () => registration.installing?.addEventListener('statechange', look, { signal }),
    { signal },
  );
  const ask = () => void registration.update().catch(() => undefined); // offline: the next time
  const timer = setInterval(ask, LOOK_FOR_UPDATES_MS);
  document.addEventListener('visibilitychange', () => document.hidden || ask(), { signal });
  signal.addEventListener('abort', () => clearInterval(timer));
}

/** Not in TypeScript's library: only Chromium's browsers have it. */
type InstallPrompt = Event & { prompt(): Promise<unknown> };

let prompt: InstallPrompt | undefined;
const installWatchers = new Set<() => void>();

function setPrompt(next: InstallPrompt | undefined): void {
  prompt = next;
  for (const watcher of installWatchers) watcher();
}

// It comes once, soon after the page has loaded: whoever asks later must find it.
window.addEventListener('beforeinstallprompt', (event) => {
  event.preventDefault();
  setPrompt(event as InstallPrompt); // that is what this event is
});
window.addEventListener('appinstalled', () => setPrompt(undefined));

/** Installs the page as an app; undefined where the browser does not offer it (or it is done). */
export function useInstall(): (() => void) | undefined {
  const offered = useSyncExternalStore(
    (changed) => {
      installWatchers.add(changed);
      return () => installWatchers.delete(changed);
    },
    () => prompt,
  );
  return offered && (() => void offered.prompt().finally(() => setPrompt(undefined)));
}

/** The number on the installed app's icon. */
export function useAppBadge(unread: number): void {
  useEffect(() => {
    if (!('setAppBadge' in navigator)) return;
    const shown = unread > 0 ? navigator.setAppBadge(unread) : navigator.clearAppBadge();
    void shown.catch(() => undefined); // not installed, or not allowed: there is no icon then
  }, [unread]);
}
