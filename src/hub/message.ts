// What is sent, before it is accepted: what no device could take is refused to the sender, instead of to each device later.

import { checkDepth } from '../events/json.ts';
import { Refusal } from '../kit/refusal.ts';
import type { Message } from './aims.ts';
import type { PushDeps } from './push.ts';

/** Nobody's payload nests like this; whoever walks through it would run out of stack. */
export const mostJsonDepth = 200;

/**
 * The message as it is sent; of Windows with its type. Refuses (`bad_request`) what its push service would refuse on every
 * device, as far as the hub has credentials for that service.
 */
export async function checkMessage({ lanes }: PushDeps, hub: string, message: Message): Promise<Message> {
  if (message.kind === 'template') {
    checkProperties(message.properties);
    return message;
  }
  const { platform, body } = message;
  if (platform === 'apns' || platform === 'fcmv1') checkJsonObject(body);
  const headers = platform === 'wns' ? withWindowsType(body, message.headers) : message.headers;
  (await lanes.of(hub)).get(platform)?.check({ headers });
  return { ...message, headers };
}

/** What Windows wants to be told, though the XML says it already: the header, in whatever case, else the root element. */
export function windowsType(body: string, headers: Readonly<Record<string, unknown>>): string | undefined {
  const given = Object.entries(headers).find(([name]) => name.toLowerCase() === 'x-wns-type')?.[1];
  if (typeof given === 'string') return given;
  const root = /^\s*(?:<!--[\s\S]*?-->\s*)*<(toast|tile|badge)\b/.exec(body)?.[1];
  return root === undefined ? undefined : `wns/${root}`;
}

function withWindowsType(body: string, headers: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  const type = windowsType(body, headers);
  if (type === undefined)
    throw new Refusal('bad_request', 'The header X-WNS-Type is missing, and the body is no toast, tile or badge.');
  const others = Object.entries(headers).filter(([name]) => name.toLowerCase() !== 'x-wns-type');
  return Object.fromEntries([...others, ['x-wns-type', type]]);
}

/** They become texts: an object would be `[object Object]` on every screen. */
function checkProperties(properties: Readonly<Record<string, unknown>>): void {
  const found = Object.entries(properties).find(([, value]) => typeof value === 'object' && value !== null);
  if (found !== undefined)
    throw new Refusal('bad_request', `The property "${found[0].slice(0, 60)}" must be a text, a number or a boolean.`);
}

/** Throws Refusal('bad_request'). */
export function checkJsonObject(body: string): void {
  checkDepth(body, mostJsonDepth, 'The payload');
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch (cause) {
    throw new Refusal('bad_request', 'The payload is not JSON.', {}, cause);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new Refusal('bad_request', 'The payload is a JSON object.');
}
