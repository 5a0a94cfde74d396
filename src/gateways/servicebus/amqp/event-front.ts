// What stands in front of a bare message when it is read from the log of a partition, as Event Hubs clients want it: the
// sender's header, and its number, its offset (the same number, as text) and its time.
import type { Message } from '../../../topics/message.ts';
import * as to from './encode.ts';
import { ENQUEUED, OFFSET, PARTITION_KEY, SEQUENCE, writeKept } from './front.ts';
import { LONG, Output, TIMESTAMP } from './output.ts';
import { DELIVERY_ANNOTATIONS, findSection, HEADER, MESSAGE_ANNOTATIONS, type Sections } from './sections.ts';

/** How far a partition had come when somebody looked. */
export type SeenEnd = Pick<Message, 'sequence' | 'enqueuedAt'> & { readonly seenAt: Date };

const LAST_SEQUENCE = to.symbol('last_enqueued_sequence_number');
const LAST_OFFSET = to.symbol('last_enqueued_offset');
const LAST_TIME = to.symbol('last_enqueued_time_utc');
const SEEN_AT = to.symbol('runtime_info_retrieval_time_utc');

/** Header, annotations and `bare` in one buffer; `sections` is the message as it was sent, if it came over AMQP. */
export function withEventFront(
  message: Message,
  sections: Sections | undefined,
  bare: readonly Uint8Array[],
  end: SeenEnd | undefined,
): Buffer {
  const out = new Output(512 + bare.reduce((sum, part) => sum + part.length, 0));
  const header = sections && findSection(sections, HEADER);
  if (header) out.raw(sections.bytes.subarray(header.start, header.end));
  if (end) writeEnd(out, end);
  writeAnnotations(out, message, sections);
  for (const part of bare) out.raw(part);
  return out.finish();
}

function writeEnd(out: Output, { sequence, enqueuedAt, seenAt }: SeenEnd): void {
  out.section(DELIVERY_ANNOTATIONS);
  const map = out.map();
  out.entry(LAST_SEQUENCE, LONG, sequence);
  out.encoded(LAST_OFFSET, to.string(String(sequence)));
  out.entry(LAST_TIME, TIMESTAMP, enqueuedAt.getTime());
  out.entry(SEEN_AT, TIMESTAMP, seenAt.getTime());
  out.endMap(map);
}

function writeAnnotations(out: Output, message: Message, sections: Sections | undefined): void {
  out.section(MESSAGE_ANNOTATIONS);
  const map = out.map();
  if (sections) writeKept(out, sections);
  out.entry(SEQUENCE, LONG, message.sequence);
  out.encoded(OFFSET, to.string(String(message.sequence)));
  out.entry(ENQUEUED, TIMESTAMP, message.enqueuedAt.getTime());
  if (message.partitionKey !== undefined) out.encoded(PARTITION_KEY, to.string(message.partitionKey));
  out.endMap(map);
}
