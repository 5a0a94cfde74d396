// The part of `/me` that lives without a page: it keeps the page for when there is no network, shows what is pushed, and
// opens it when it is clicked. It never keeps an answer of the API: what somebody may read is the server's to say each time.
//
// Updates: a new build is another file here, which the browser installs beside the running one. It waits until no page
// uses the old one, or until a page says 'take over' because its person wanted the new version now.
import { deviceIdOf, isSameKey, keyBytes, registrationOf } from './device.ts';
import { parsePush, type ShownPush } from './push-message.ts';
import type {
  FetchEvent,
  NotificationClick,
  SubscriptionChange,
  WindowClient,
  WorkerEvent,
  WorkerScope,
} from './worker-scope.ts';

const worker = self as unknown as WorkerScope; // true: this file is only ever a service worker

declare const __FILES__: readonly string[]; // the build puts them here (vite.config.ts)

const files = __FILES__;
const CACHE = 'carillon-me-__VERSION__';
const PAGE = '/me';
/** Firefox lets a click open or focus a window within a second (dom.webnotifications.disable_open_click_delay). */
const PATIENCE_MS = 500;
const decorations = ['/icon.svg', '/me/icon-192.png', '/me/badge-96.png', '/me/manifest.webmanifest'];

worker.addEventListener('install', (event: WorkerEvent) => event.waitUntil(keepShell()));
worker.addEventListener('activate', (event: WorkerEvent) => event.waitUntil(takeOver()));
worker.addEventListener('fetch', (event: FetchEvent) => {
  const answer = answerFor(event.request);
  if (answer) event.respondWith(answer);
});
worker.addEventListener('message', (event: WorkerEvent & { readonly data?: unknown }) => {
  if (event.data === 'take over') void worker.skipWaiting();
});
worker.addEventListener('push', (event: WorkerEvent & { readonly data: { text(): string } | null }) =>
  event.waitUntil(show(parsePush(event.data?.text()))),
);
worker.addEventListener('notificationclick', (event: NotificationClick) => {
  event.notification.close();
  event.waitUntil(open(event.notification.data as ShownPush['data'] | undefined)); // `show` put it there
});
worker.addEventListener('pushsubscriptionchange', (event: SubscriptionChange) =>
  event.waitUntil(followSubscription(event.oldSubscription, event.newSubscription)),
);

async function keepShell(): Promise<void> {
  const cache = await caches.open(CACHE);
  await cache.addAll([PAGE, ...files, ...decorations].map((path) => new Request(path, { cache: 'reload' })));
}

async function takeOver(): Promise<void> {
  const old = (await caches.keys()).filter((name) => name.startsWith('carillon-me-') && name !== CACHE);
  await Promise.all(old.map((name) => caches.delete(name)));
  await worker.clients.claim();
}

/** Undefined: none of ours, the browser asks the network. */
function answerFor(request: Request): Promise<Response> | undefined {
  const { origin, pathname } = new URL(request.url);
  if (request.method !== 'GET' || origin !== worker.location.origin) return undefined;
  if (request.mode === 'navigate')
    return pathname === PAGE || pathname === `${PAGE}/` ? fresh(request, PAGE) : undefined;
  if (files.includes(pathname)) return kept(request);
  return decorations.includes(pathname) ? fresh(request, pathname) : undefined;
}

/** The network's while there is a network, so that a new build shows at the next visit. */
async function fresh(request: Request, path: string): Promise<Response> {
  try {
    return await fetch(request);
  } catch (error) {
    const found = await caches.match(path, { cacheName: CACHE });
    if (found) return found;
    throw error;
  }
}

/** Files whose names change with their content. */
async function kept(request: Request): Promise<Response> {
  return (await caches.match(request, { cacheName: CACHE, ignoreVary: true })) ?? fetch(request);
}

async function show(push: ShownPush): Promise<void> {
  await Promise.all([worker.registration.showNotification(push.title, push.options), showUnread()]);
}

/** The number on the app's icon. Somebody who has signed out has none. */
async function showUnread(): Promise<void> {
  if (!('setAppBadge' in navigator)) return;
  const me = await read<{ recipientId?: string }>('/v1/me');
  if (me?.recipientId === undefined) return;
  const inbox = await read<{ unread: number }>(`/v1/recipients/${encodeURIComponent(me.recipientId)}/inbox?limit=1`);
  if (inbox) await navigator.setAppBadge(inbox.unread).catch(() => undefined); // a browser that shows no badges says no
}

async function open(data: ShownPush['data'] | undefined): Promise<void> {
  const address = data?.notice ? `${PAGE}#/notice/${encodeURIComponent(data.notice)}` : PAGE;
  const windows = await worker.clients.matchAll({ type: 'window', includeUncontrolled: true });
  const mine = windows.filter(({ url }) => /^\/me\/?$/.test(new URL(url).pathname));
  for (const page of mine.toSorted((a, b) => Number(b.focused) - Number(a.focused)))
    if (await isTold(page, address.slice(PAGE.length))) return void (await page.focus());
  await worker.clients.openWindow(address);
}

/**
 * Tells a page where to go, and whether it heard. A page that is being left is still listed for a while and hears nothing any
 * more; the person would wait in vain for what they clicked.
 */
async function isTold(page: WindowClient, address: string): Promise<boolean> {
  const { port1: answers, port2: answer } = new MessageChannel();
  let heard = false;
  answers.onmessage = () => {
    heard = true;
  };
  page.postMessage({ kind: 'open', address }, [answer]);
  for (const end = Date.now() + PATIENCE_MS; !heard && Date.now() < end; ) {
    await new Promise((resolve) => setTimeout(resolve, 20));
    if (!heard && !(await worker.clients.get(page.id))) break;
  }
  answers.close();
  return heard;
}

/** The push service gave this browser another address; the server must hear of it, or pushes go to the old one. */
async function followSubscription(old: PushSubscription | null, given: PushSubscription | null): Promise<void> {
  const me = await read<{ recipientId?: string }>('/v1/me');
  if (me?.recipientId === undefined) return;
  const devices = `/v1/recipients/${encodeURIComponent(me.recipientId)}/devices`;
  const key = await read<{ publicKey: string }>('/v1/hubs/main/web-push-key');
  const found = given ?? (await worker.registration.pushManager.getSubscription());
  const usable = found && key && isSameKey(found, key.publicKey) ? found : undefined;
  const applicationServerKey = key && keyBytes(key.publicKey);
  if (!applicationServerKey) return;
  const now =
    usable ?? (await worker.registration.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey }));
  await write('PUT', `${devices}/${await deviceIdOf(now)}`, registrationOf(now));
  if (old && old.endpoint !== now.endpoint) await write('DELETE', `${devices}/${await deviceIdOf(old)}`);
}

async function read<T>(path: string): Promise<T | undefined> {
  const answer = await fetch(path, { headers: { accept: 'application/json' } }).catch(() => undefined);
  return answer?.ok ? ((await answer.json()) as T) : undefined;
}

async function write(method: string, path: string, body?: unknown): Promise<void> {
  const init =
    body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } };
  const answer = await fetch(path, { method, ...init });
  if (!answer.ok && answer.status !== 404) throw new Error(`${method} ${path}: ${answer.status}`);
}
