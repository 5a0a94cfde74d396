// A transfer frame (AMQP 1.0, part 2.7.5) in front of its payload, encoded by hand: it is nearly all that a busy
// connection says. All eleven fields are there, as Azure's pure-Python client reads them by position.

export type TransferFields = {
  readonly handle: number;
  readonly delivery_id: number;
  readonly delivery_tag: Buffer;
  readonly message_format: number;
  readonly settled: boolean;
  readonly more: boolean;
};

/** Stands among rhea's performatives until it is written. */
export class PlainTransfer {
  readonly fields: TransferFields;
  constructor(fields: TransferFields) {
    this.fields = fields;
  }
}

const FIELDS = 11;
const NULLS_AT_END = 5;
const LARGEST = 8 + 6 + 5 + 5 + 2 + 32 + 5 + 2 + NULLS_AT_END;

/** The frame up to its payload, whose length is counted in. */
export function encodeTransfer(channel: number, fields: TransferFields, payload: Uint8Array | undefined): Buffer {
  const { delivery_tag: tag } = fields;
  const to = Buffer.allocUnsafe(LARGEST);
  to[4] = 2; // the data offset, in words
  to[5] = 0;
  to.writeUInt16BE(channel, 6);
  to.set([0x00, 0x53, 0x14, 0xc0, 0, FIELDS], 8);
  let at = 14;
  const uint = (value: number) => {
    to[at] = 0x70;
    at = to.writeUInt32BE(value >>> 0, at + 1);
  };
  uint(fields.handle);
  uint(fields.delivery_id);
  to[at++] = 0xa0;
  to[at++] = tag.length;
  at += tag.copy(to, at);
  uint(fields.message_format);
  to[at++] = fields.settled ? 0x41 : 0x42;
  to[at++] = fields.more ? 0x41 : 0x42;
  to.fill(0x40, at, at + NULLS_AT_END);
  at += NULLS_AT_END;
  to[12] = at - 13;
  to.writeUInt32BE(at + (payload?.length ?? 0), 0);
  return to.subarray(0, at);
}
