// A message as it travels (AMQP 1.0, part 3): header, delivery annotations, message annotations, and then the bare
// message: properties, application properties, body, footer. The bare message is the sender's own and is kept and
// delivered byte for byte; header and annotations are the broker's to rewrite. Splitting does not decode anything.
import { AmqpDescribed, type AmqpValue, malformed, Reader } from './decode.ts';

export const HEADER = 0x70;
export const DELIVERY_ANNOTATIONS = 0x71;
export const MESSAGE_ANNOTATIONS = 0x72;
export const PROPERTIES = 0x73;
export const APPLICATION_PROPERTIES = 0x74;
export const DATA = 0x75;
export const AMQP_SEQUENCE = 0x76;
export const AMQP_VALUE = 0x77;
export const FOOTER = 0x78;

/** Where a section lies: `start` is its first byte, `value` the first byte after its descriptor. */
export type Section = { readonly code: number; readonly start: number; readonly value: number; readonly end: number };

export type Sections = {
  readonly bytes: Buffer;
  readonly all: readonly Section[];
  /** Where the bare message begins; it reaches to the end. */
  readonly bareStart: number;
};

/** Finds the sections of an encoded message. Fails with `amqp_malformed` if it is none, or if they are out of order. */
export function splitSections(bytes: Buffer): Sections {
  const reader = new Reader(bytes);
  const all: Section[] = [];
  let bareStart = bytes.length;
  let last = 0;
  while (!reader.done) {
    const start = reader.position;
    const code = readDescriptor(reader);
    if (code < last) throw malformed('The sections of the message are out of order.');
    last = code;
    const value = reader.position;
    reader.skip();
    all.push({ code, start, value, end: reader.position });
    if (code >= PROPERTIES) bareStart = Math.min(bareStart, start);
  }
  return { bytes, all, bareStart };
}

function readDescriptor(reader: Reader): number {
  const { bytes, position } = reader;
  // Nearly everybody writes a small ulong; no value needs to be made for it.
  if (position + 3 <= reader.end && bytes[position] === 0x00 && bytes[position + 1] === SMALL_ULONG) {
    const code = bytes[position + 2]!;
    if (code >= HEADER && code <= FOOTER) {
      reader.position = position + 3;
      return code;
    }
  }
  if (reader.byte() !== 0x00) throw malformed('A section of a message begins with a descriptor.');
  const descriptor = reader.value();
  const code = typeof descriptor === 'number' ? descriptor : symbolic[String(descriptor)];
  if (code === undefined || code < HEADER || code > FOOTER)
    throw malformed(`${String(descriptor)} is no section of a message.`);
  return code;
}

const SMALL_ULONG = 0x53;

const symbolic: Readonly<Record<string, number>> = {
  'amqp:header:list': HEADER,
  'amqp:delivery-annotations:map': DELIVERY_ANNOTATIONS,
  'amqp:message-annotations:map': MESSAGE_ANNOTATIONS,
  'amqp:properties:list': PROPERTIES,
  'amqp:application-properties:map': APPLICATION_PROPERTIES,
  'amqp:data:binary': DATA,
  'amqp:amqp-sequence:list': AMQP_SEQUENCE,
  'amqp:amqp-value:*': AMQP_VALUE,
  'amqp:footer:map': FOOTER,
};

export function findSection(sections: Sections, code: number): Section | undefined {
  for (const section of sections.all) if (section.code === code) return section;
  return undefined;
}

/** Decodes one section's value; `null` if the message has none of this code. */
export function decodeSection(sections: Sections, code: number): AmqpValue {
  const section = findSection(sections, code);
  return section ? new Reader(sections.bytes, section.value, section.end).value() : null;
}

/** The bytes of every data section: what a sender of plain bytes sent, or the messages of a batch. */
export function dataOf(sections: Sections): Buffer[] {
  const data: Buffer[] = [];
  for (const section of sections.all) {
    if (section.code !== DATA) continue;
    const value = new Reader(sections.bytes, section.value, section.end).value();
    if (!Buffer.isBuffer(value)) throw malformed('A data section does not hold binary.');
    data.push(value);
  }
  return data;
}

/** The content for somebody who does not speak AMQP: the data's bytes, or the value as text or JSON. */
export function contentOf(sections: Sections): Buffer {
  const data = dataOf(sections);
  if (data.length > 0) return data.length === 1 ? data[0]! : Buffer.concat(data);
  const value = decodeSection(sections, AMQP_VALUE) ?? decodeSection(sections, AMQP_SEQUENCE);
  if (value === null) return Buffer.alloc(0);
  if (Buffer.isBuffer(value)) return value;
  return Buffer.from(typeof value === 'string' ? value : JSON.stringify(toJson(value)));
}

function toJson(value: AmqpValue): unknown {
  if (Array.isArray(value)) return value.map(toJson);
  if (value instanceof Map) return Object.fromEntries([...value].map(([key, item]) => [String(key), toJson(item)]));
  if (Buffer.isBuffer(value)) return value.toString('base64');
  if (value instanceof AmqpDescribed) return toJson(value.value);
  if (typeof value === 'bigint') return value.toString();
  return value !== null && typeof value === 'object' && !(value instanceof Date) ? String(value) : value;
}

/** The encoded items of the list or map that is the section's value, undecoded. */
export function rawItems({ bytes }: Sections, section: Section | undefined): Buffer[] {
  if (!section) return [];
  const reader = new Reader(bytes, section.value, section.end);
  const code = reader.byte();
  if (code !== 0xc0 && code !== 0xc1 && code !== 0xd0 && code !== 0xd1) return []; // An empty list, or nothing.
  const narrow = code === 0xc0 || code === 0xc1;
  reader.take(narrow ? 1 : 4);
  const count = narrow ? reader.byte() : reader.uint32();
  const items: Buffer[] = [];
  for (let i = 0; i < count; i++) {
    const start = reader.position;
    reader.skip();
    items.push(bytes.subarray(start, reader.position));
  }
  return items;
}
