// Parts of replies that several operations need.
import * as to from '../amqp/encode.ts';
import { uuidBytes } from '../lock-token.ts';
import type { Result } from './answer.ts';

export const OK: Result = { status: 200, body: to.map([]) };

const LONG = 0x81;
const TIMESTAMP = 0x83;
const STRING = 0xb1;

export function timestamps(dates: readonly Date[]): to.Encoded {
  return to.array(
    TIMESTAMP,
    dates.map((date) => wide(date.getTime())),
  );
}

export function longs(values: readonly number[]): to.Encoded {
  return to.array(LONG, values.map(wide));
}

export function strings(values: readonly string[]): to.Encoded {
  return to.array(
    STRING,
    values.map((value) => {
      const text = Buffer.from(value);
      const size = Buffer.alloc(4);
      size.writeUInt32BE(text.length);
      return Buffer.concat([size, text]);
    }),
  );
}

function wide(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64BE(BigInt(value));
  return bytes;
}

/** A list of maps with one encoded message each, and its lock token where it has one. */
export function messageList(all: readonly { readonly message: Buffer; readonly lockToken?: string }[]): to.Encoded {
  const items = all.map(({ message, lockToken }) => {
    const token = lockToken === undefined ? [] : [to.string('lock-token'), to.uuid(uuidBytes(lockToken))];
    return to.map([to.string('message'), to.binary(message), ...token]);
  });
  return to.map([to.string('messages'), to.list(items)]);
}
