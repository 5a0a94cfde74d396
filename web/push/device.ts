// This browser as a device. Its id is made of its push address, so that page and service worker name it alike without
// keeping anything, and so that the same browser stays one device whoever signs in on it.

/** As `PUT /v1/recipients/{id}/devices/{device}` takes it. */
export type DeviceRegistration = {
  readonly platform: 'browser';
  readonly address: PushSubscriptionJSON;
  readonly label: string;
};

export async function deviceIdOf({ endpoint }: Pick<PushSubscription, 'endpoint'>): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(endpoint));
  return `web-${base64Url(new Uint8Array(digest)).slice(0, 32)}`;
}

export function registrationOf(subscription: PushSubscription): DeviceRegistration {
  return { platform: 'browser', address: subscription.toJSON(), label: browserName(navigator.userAgent) };
}

/** Whether the subscription was made with the key that the hub has now; pushes with another are refused. */
export function isSameKey({ options }: PushSubscription, publicKey: string): boolean {
  return options.applicationServerKey !== null && base64Url(new Uint8Array(options.applicationServerKey)) === publicKey;
}

export function keyBytes(publicKey: string): Uint8Array<ArrayBuffer> {
  const binary = atob(publicKey.replaceAll('-', '+').replaceAll('_', '/'));
  return Uint8Array.from(binary, (char) => char.charCodeAt(0));
}

function base64Url(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replaceAll('=', '');
}

const browsers: readonly (readonly [string, RegExp])[] = [
  ['Edge', /\bEdgA?\//],
  ['Opera', /\bOPR\//],
  ['Samsung Internet', /\bSamsungBrowser\//],
  ['Firefox', /\bFirefox\//],
  ['Chrome', /Chrome\//],
  ['Safari', /\bSafari\//],
];
const systems: readonly (readonly [string, RegExp])[] = [
  ['Android', /\bAndroid\b/],
  ['iPhone', /\biPhone\b/],
  ['iPad', /\biPad\b/],
  ['Windows', /\bWindows\b/],
  ['Mac', /\bMacintosh\b/],
  ['ChromeOS', /\bCrOS\b/],
  ['Linux', /\bLinux\b/],
];

/** `Firefox on Linux`: by what people know it in a list. */
export function browserName(userAgent: string): string {
  const find = (list: typeof browsers) => list.find(([, pattern]) => pattern.test(userAgent))?.[0];
  const [browser, system] = [find(browsers) ?? 'Browser', find(systems)];
  return system === undefined ? browser : `${browser} on ${system}`;
}
