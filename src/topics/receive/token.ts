// A lock token is a UUID that says which lock of which message it is, so that no table of tokens is needed:
//   partition (16 bits) | epoch of the owner (16) | number of the lock (48) | sequence in the partition (48)
// A token of an earlier owner has another epoch, one of an earlier lock another number. It is a name, not a secret.
import { PARTITION_SPAN } from '../message.ts';

export type Token = {
  readonly part: number;
  readonly epoch: number;
  readonly attempt: number;
  readonly sequence: number;
};

export function formatToken({ part, epoch, attempt, sequence }: Token): string {
  const bytes = Buffer.allocUnsafe(16);
  bytes.writeUInt16BE(part, 0);
  bytes.writeUInt16BE(epoch & 0xffff, 2);
  bytes.writeUIntBE(attempt, 4, 6);
  bytes.writeUIntBE(sequence - part * PARTITION_SPAN, 10, 6);
  const hex = bytes.toString('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

/** Undefined for what is not a UUID. The epoch is only its lower 16 bits. */
export function parseToken(text: string): Token | undefined {
  const hex = text.replaceAll('-', '');
  if (!/^[0-9a-f]{32}$/i.test(hex)) return undefined;
  const bytes = Buffer.from(hex, 'hex');
  const part = bytes.readUInt16BE(0);
  const sequence = bytes.readUIntBE(10, 6) + part * PARTITION_SPAN;
  return { part, epoch: bytes.readUInt16BE(2), attempt: bytes.readUIntBE(4, 6), sequence };
}
