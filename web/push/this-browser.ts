// Whether this browser can be pushed to, and is; how to change that. What the person may have to do first is part of the
// answer, because only they can do it.
//
//   off --turnOn, asks the person--> on --turnOff--> off
//    `--they said no--> denied (only the browser's own settings lead out)
import { get, Problem, put, remove } from '../kit/api.ts';
import { deviceIdOf, isSameKey, keyBytes, registrationOf } from './device.ts';

export type PushState =
  | { readonly kind: 'looking' }
  | { readonly kind: 'impossible'; readonly why: 'insecure' | 'install first' | 'unsupported' }
  | { readonly kind: 'denied' }
  | { readonly kind: 'off' }
  | { readonly kind: 'on'; readonly deviceId: string };

const HUB = 'main';
const SCOPE = '/me';

export function devicesPath(recipientId: string): string {
  return `/v1/recipients/${encodeURIComponent(recipientId)}/devices`;
}

/**
 * What is known without waiting. Only where the person allowed it there is more to find out, and the service worker has to
 * be there for that: the first time it takes long, and what came into the page so late pushed away what was just clicked.
 */
export function atFirstSight(): PushState {
  const why = obstacle();
  if (why) return { kind: 'impossible', why };
  const { permission } = Notification;
  if (permission === 'granted') return { kind: 'looking' };
  return { kind: permission === 'denied' ? 'denied' : 'off' };
}

/** How it is now. A browser that is on is registered again: the server then knows that it was seen, and where it is. */
export async function lookAtThisBrowser(recipientId: string): Promise<PushState> {
  const seen = atFirstSight();
  if (seen.kind !== 'looking') return seen;
  const found = await (await worker()).pushManager.getSubscription();
  if (!found) return { kind: 'off' };
  const key = await hubKey();
  return register(recipientId, isSameKey(found, key) ? found : await renew(found, key));
}

/** Asks the person if need be, so it must run in answer to a click of theirs. Rejects with what went wrong. */
export async function turnOn(recipientId: string): Promise<PushState> {
  const answer = await Notification.requestPermission();
  if (answer !== 'granted') return { kind: answer === 'denied' ? 'denied' : 'off' };
  const key = await hubKey();
  const { pushManager } = await worker();
  const found = await pushManager.getSubscription();
  if (found && isSameKey(found, key)) return register(recipientId, found);
  return register(recipientId, found ? await renew(found, key) : await subscribe(key));
}

/** The server forgets the device first: if that fails, nothing has changed. */
export async function turnOff(recipientId: string): Promise<PushState> {
  const subscription = await (await worker()).pushManager.getSubscription();
  if (!subscription) return { kind: 'off' };
  await remove(`${devicesPath(recipientId)}/${await deviceIdOf(subscription)}`);
  await subscription.unsubscribe();
  return { kind: 'off' };
}

/** The next person at this browser must not read the last one's notices. */
export async function turnOffBeforeLeaving(recipientId: string): Promise<void> {
  if (obstacle() || !(await navigator.serviceWorker.getRegistration(SCOPE))) return;
  await turnOff(recipientId).catch(() => undefined); // who wants to leave is not held back; the server ends the session
}

/** iPhones push to installed apps only (iOS 16.4 and later). */
function obstacle(): 'insecure' | 'install first' | 'unsupported' | undefined {
  if (!window.isSecureContext) return 'insecure';
  const capable = 'serviceWorker' in navigator && 'PushManager' in window && 'Notification' in window;
  if (capable) return undefined;
  return /iPhone|iPad/.test(navigator.userAgent) ? 'install first' : 'unsupported';
}

async function worker(): Promise<ServiceWorkerRegistration> {
  await registerWorker();
  return navigator.serviceWorker.ready;
}

export function registerWorker(): Promise<ServiceWorkerRegistration> {
  return navigator.serviceWorker.register('/service-worker.js', { scope: SCOPE, updateViaCache: 'none' });
}

async function hubKey(): Promise<string> {
  return (await get<{ publicKey: string }>(`/v1/hubs/${HUB}/web-push-key`)).publicKey;
}

/** A browser keeps one subscription, and only for the key that it was made with. */
async function renew(old: PushSubscription, key: string): Promise<PushSubscription> {
  await old.unsubscribe();
  return subscribe(key);
}

async function subscribe(key: string): Promise<PushSubscription> {
  const { pushManager } = await worker();
  const options = { userVisibleOnly: true, applicationServerKey: keyBytes(key) };
  return pushManager.subscribe(options).catch((cause: unknown) => {
    const words = "This browser's push service cannot be reached. Some browsers and networks switch it off.";
    throw new Problem(0, 'push_service_unreachable', words, {}, cause);
  });
}

async function register(recipientId: string, subscription: PushSubscription): Promise<PushState> {
  const deviceId = await deviceIdOf(subscription);
  await put(`${devicesPath(recipientId)}/${deviceId}`, { ...registrationOf(subscription), hub: HUB });
  return { kind: 'on', deviceId };
}
