// A delivery's tag is the lock token as .NET lays a GUID out: its first three groups in reverse byte order (Java insists
// on exactly 16 bytes). In requests the same token travels as an AMQP uuid, in the order of RFC 4122.
const TAG_ORDER = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15] as const;

export function tagOf(lockToken: string): Buffer {
  return reorder(uuidBytes(lockToken));
}

export function lockTokenOf(tag: Uint8Array): string {
  return tag.length === 16 ? uuidText(reorder(tag)) : '';
}

export function uuidBytes(text: string): Buffer {
  return Buffer.from(text.replaceAll('-', ''), 'hex');
}

export function uuidText(bytes: Uint8Array): string {
  const hex = Buffer.from(bytes).toString('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

function reorder(bytes: Uint8Array): Buffer {
  return Buffer.from(TAG_ORDER.map((at) => bytes[at]!));
}
