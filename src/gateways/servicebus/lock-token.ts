// A delivery's tag is the lock token as .NET lays a GUID out: its first three groups in reverse byte order (Java insists
// on exactly 16 bytes). In requests the same token travels as an AMQP uuid, in the order of RFC 4122.
const TAG_ORDER = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15] as const;
/** Where each byte's two digits stand in the text. */
const DIGITS_AT = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34] as const;
const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

export function tagOf(lockToken: string): Buffer {
  const tag = Buffer.allocUnsafe(16);
  for (let i = 0; i < 16; i++) tag[i] = byteAt(lockToken, TAG_ORDER[i]!);
  return tag;
}

export function lockTokenOf(tag: Uint8Array): string {
  if (tag.length !== 16) return '';
  let text = '';
  for (let i = 0; i < 16; i++) text += (isGroupStart(i) ? '-' : '') + HEX[tag[TAG_ORDER[i]!]!]!;
  return text;
}

export function uuidBytes(text: string): Buffer {
  const bytes = Buffer.allocUnsafe(16);
  for (let i = 0; i < 16; i++) bytes[i] = byteAt(text, i);
  return bytes;
}

function isGroupStart(i: number): boolean {
  return i === 4 || i === 6 || i === 8 || i === 10;
}

function byteAt(text: string, i: number): number {
  const at = DIGITS_AT[i]!;
  return (digit(text.charCodeAt(at)) << 4) | digit(text.charCodeAt(at + 1));
}

function digit(code: number): number {
  return code <= 57 ? code - 48 : (code | 32) - 87;
}
