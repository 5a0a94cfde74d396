// As much of D-Bus (https://dbus.freedesktop.org/doc/dbus-specification.html) as a desktop that shows notifications speaks: messages
// whose header and first arguments are read, answers of texts, numbers and lists of texts. Little-endian only, as all our machines are.

export const kinds = { call: 1, answer: 2, error: 3, signal: 4 } as const;

export type Message = {
  readonly kind: number;
  readonly serial: number;
  readonly path: string;
  readonly member: string;
  readonly sender: string;
  readonly signature: string;
  readonly body: Buffer;
  /** Where the next message begins. */
  readonly end: number;
};

export type Value = string | number | boolean | readonly string[];
export type Outgoing = {
  readonly kind: number;
  readonly serial: number;
  readonly fields: readonly (readonly [code: number, type: 's' | 'o' | 'g' | 'u', value: string | number])[];
  readonly body?: readonly Value[];
};

const fieldCodes = { path: 1, member: 3, sender: 7, signature: 8 } as const;

/** Undefined while it is not all there. */
export function readMessage(bytes: Buffer): Message | undefined {
  if (bytes.length < 16) return undefined;
  const fieldsEnd = 16 + bytes.readUInt32LE(12);
  const start = aligned(fieldsEnd, 8);
  const end = start + bytes.readUInt32LE(4);
  if (bytes.length < end) return undefined;
  const fields = readFields(bytes, fieldsEnd);
  const text = (code: number): string => String(fields.get(code) ?? '');
  return {
    kind: bytes[1]!,
    serial: bytes.readUInt32LE(8),
    path: text(fieldCodes.path),
    member: text(fieldCodes.member),
    sender: text(fieldCodes.sender),
    signature: text(fieldCodes.signature),
    body: bytes.subarray(start, end),
    end,
  };
}

/** The arguments from the first on, as far as they are texts, numbers and lists of texts. */
export function readArguments({ signature, body }: Pick<Message, 'signature' | 'body'>): Value[] {
  const values: Value[] = [];
  const reader = new Reader(body);
  for (const type of signature.match(/as|[suob]|./g) ?? []) {
    if (type === 's' || type === 'o') values.push(reader.text());
    else if (type === 'u' || type === 'b') values.push(reader.number());
    else if (type === 'as') values.push(reader.texts());
    else break;
  }
  return values;
}

export function writeMessage({ kind, serial, fields, body = [] }: Outgoing): Buffer {
  const content = new Writer();
  for (const value of body) content.value(value);
  const header = new Writer();
  const signature = body.map(typeOf).join('');
  for (const [code, type, value] of signature === ''
    ? fields
    : [...fields, [fieldCodes.signature, 'g', signature] as const]) {
    header.align(8).byte(code).signature(type);
    if (type === 'g') header.signature(String(value));
    else header.value(value);
  }
  const start = Buffer.alloc(16);
  start.set(['l'.charCodeAt(0), kind, 0, 1]);
  start.writeUInt32LE(content.bytes.length, 4);
  start.writeUInt32LE(serial, 8);
  start.writeUInt32LE(header.bytes.length, 12);
  return Buffer.concat([start, header.align(8).bytes, content.bytes]);
}

function readFields(bytes: Buffer, end: number): Map<number, string | number> {
  const fields = new Map<number, string | number>();
  const reader = new Reader(bytes, 16);
  while (reader.at < end) {
    const code = reader.align(8).byte();
    const type = reader.signature();
    fields.set(code, type === 'u' ? reader.number() : type === 'g' ? reader.signature() : reader.text());
  }
  return fields;
}

class Reader {
  readonly #bytes: Buffer;
  at: number;

  constructor(bytes: Buffer, at = 0) {
    this.#bytes = bytes;
    this.at = at;
  }

  align(size: number): this {
    this.at = aligned(this.at, size);
    return this;
  }

  byte(): number {
    this.at += 1;
    return this.#bytes[this.at - 1]!;
  }

  number(): number {
    this.at = aligned(this.at, 4) + 4;
    return this.#bytes.readUInt32LE(this.at - 4);
  }

  text(): string {
    const length = this.number();
    this.at += length + 1;
    return this.#bytes.toString('utf8', this.at - length - 1, this.at - 1);
  }

  signature(): string {
    const length = this.byte();
    this.at += length + 1;
    return this.#bytes.toString('latin1', this.at - length - 1, this.at - 1);
  }

  texts(): string[] {
    const end = this.number() + this.at;
    const found: string[] = [];
    while (this.at < end) found.push(this.text());
    return found;
  }
}

class Writer {
  bytes = Buffer.alloc(0);

  align(size: number): this {
    return this.#add(Buffer.alloc(aligned(this.bytes.length, size) - this.bytes.length));
  }

  byte(value: number): this {
    return this.#add(Buffer.from([value]));
  }

  signature(text: string): this {
    return this.byte(text.length).#add(Buffer.from(`${text}\0`, 'latin1'));
  }

  value(value: Value): this {
    if (typeof value === 'string') return this.#number(Buffer.byteLength(value)).#add(Buffer.from(`${value}\0`));
    if (typeof value === 'object') return this.#texts(value);
    return this.#number(Number(value));
  }

  #number(value: number): this {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32LE(value);
    return this.align(4).#add(bytes);
  }

  #texts(texts: readonly string[]): this {
    const list = new Writer();
    for (const text of texts) list.value(text);
    return this.#number(list.bytes.length).#add(list.bytes);
  }

  #add(more: Buffer): this {
    this.bytes = Buffer.concat([this.bytes, more]);
    return this;
  }
}

function typeOf(value: Value): string {
  if (typeof value === 'object') return 'as';
  if (typeof value === 'boolean') return 'b';
  return typeof value === 'string' ? 's' : 'u';
}

function aligned(at: number, size: number): number {
  return Math.ceil(at / size) * size;
}
