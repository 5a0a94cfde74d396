// Shared access signatures as Azure's clients make them, for Service Bus, Event Hubs and Notification Hubs:
//   SharedAccessSignature sr=<resource>&sig=<signature>&se=<expiry>&skn=<key name>        (fields in any order)
// sig = base64(HMAC-SHA256(key as text, sr as it stands in the token + "\n" + se)). `sr` is signed percent-encoded,
// and each SDK encodes it in its own way, so it is never decoded before the signature has been checked.
import { createHmac, timingSafeEqual } from 'node:crypto';

export type SasToken = {
  readonly keyName: string;
  /** The resource as it stands in the token: percent-encoded. */
  readonly encodedResource: string;
  /** The resource, decoded: a URI such as `sb://host/topic`. */
  readonly resource: string;
  readonly signature: string;
  /** Expiry in seconds since 1970, as text, as it was signed. */
  readonly expiry: string;
};

const SCHEME = 'SharedAccessSignature ';

/** Takes a token apart; `undefined` if it is none. Nothing is verified yet. */
export function parseSasToken(text: string): SasToken | undefined {
  if (!text.startsWith(SCHEME) || text.length > 8192) return undefined;
  const fields = new Map<string, string>();
  for (const pair of text.slice(SCHEME.length).split('&')) {
    const at = pair.indexOf('=');
    if (at > 0) fields.set(pair.slice(0, at).trim(), pair.slice(at + 1));
  }
  const [sr, sig, se, skn] = ['sr', 'sig', 'se', 'skn'].map((name) => fields.get(name));
  if (!sr || !sig || !se || !skn || !/^\d{1,12}$/.test(se)) return undefined;
  const [resource, signature, keyName] = [decode(sr), decode(sig), decode(skn)];
  if (resource === undefined || signature === undefined || keyName === undefined) return undefined;
  return { keyName, encodedResource: sr, resource, signature, expiry: se };
}

function decode(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined; // A stray percent sign: no SDK writes one, so it is no token.
  }
}

/** Whether `key` signed the token. Compares in constant time. */
export function isSignedBy(token: SasToken, key: string): boolean {
  const expected = createHmac('sha256', key).update(`${token.encodedResource}\n${token.expiry}`).digest();
  const given = Buffer.from(token.signature, 'base64');
  return given.length === expected.length && timingSafeEqual(given, expected);
}

export function isExpired(token: SasToken, now: Date): boolean {
  return Number(token.expiry) * 1000 <= now.getTime();
}

/** Makes a token for `resource`, valid for `seconds`. */
export function signSasToken(resource: string, keyName: string, key: string, seconds: number, now: Date): string {
  const sr = encodeURIComponent(resource);
  const se = Math.floor(now.getTime() / 1000) + seconds;
  const sig = createHmac('sha256', key).update(`${sr}\n${se}`).digest('base64');
  return `${SCHEME}sr=${sr}&sig=${encodeURIComponent(sig)}&se=${se}&skn=${encodeURIComponent(keyName)}`;
}
