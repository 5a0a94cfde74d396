// What the broker writes in front of a bare message (AMQP 1.0, part 3.2.1 and 3.2.3): a header and message annotations.
// This runs for every delivery, so it goes into one buffer, with the bare message behind it, and makes no values.
import type { Message } from '../../../topics/message.ts';
import { Reader } from './decode.ts';
import * as to from './encode.ts';
import { LONG, Output, TIMESTAMP, UINT } from './output.ts';
import { findSection, HEADER, MESSAGE_ANNOTATIONS, rawItems, type Sections } from './sections.ts';

/** A message as it is delivered or looked at; the broker's received and peeked messages are such. */
export type WireMessage = Omit<Message, 'topic' | 'partition'> & {
  readonly state?: 'active' | 'deferred' | 'scheduled' | undefined;
  readonly lockedUntil?: Date | undefined;
};

const STATES = { active: 0, deferred: 1, scheduled: 2 } as const;

export const SEQUENCE = to.symbol('x-opt-sequence-number');
export const ENQUEUED = to.symbol('x-opt-enqueued-time');
const ENQUEUED_SEQUENCE = to.symbol('x-opt-enqueue-sequence-number');
const LOCKED_UNTIL = to.symbol('x-opt-locked-until');
const STATE = to.symbol('x-opt-message-state');
export const PARTITION_KEY = to.symbol('x-opt-partition-key');
const SCHEDULED = to.symbol('x-opt-scheduled-enqueue-time');
const DEAD_LETTER_SOURCE = to.symbol('x-opt-deadletter-source');
export const OFFSET = to.symbol('x-opt-offset');
const OURS: ReadonlySet<string> = new Set(
  [
    SEQUENCE,
    ENQUEUED,
    ENQUEUED_SEQUENCE,
    LOCKED_UNTIL,
    STATE,
    PARTITION_KEY,
    SCHEDULED,
    DEAD_LETTER_SOURCE,
    OFFSET,
  ].map((key) => key.toString('latin1', 2)),
);

/** Header, annotations and `bare` in one buffer; `sections` is the message as it was sent, if it came over AMQP. */
export function withFront(
  message: WireMessage,
  sections: Sections | undefined,
  bare: readonly Uint8Array[],
  partitioned = false,
): Buffer {
  const out = new Output(512 + bare.reduce((sum, part) => sum + part.length, 0));
  writeHeader(out, message, sections);
  writeAnnotations(out, message, sections, partitioned);
  for (const part of bare) out.raw(part);
  return out.finish();
}

/** durable, priority, ttl, first-acquirer as the sender gave them; delivery-count is ours and always there. */
function writeHeader(out: Output, message: WireMessage, sections: Sections | undefined): void {
  const sent = sections ? rawItems(sections, findSection(sections, HEADER)) : [];
  out.section(HEADER);
  const size = out.compound(0xc0, 5);
  for (let i = 0; i < 4; i++) {
    const item = sent[i];
    if (item !== undefined && item.length <= 32) out.raw(item);
    else if (i === 2 && message.timeToLiveMs !== undefined)
      out.number(UINT, Math.min(message.timeToLiveMs, 0xffffffff));
    else out.u8(0x40);
  }
  if (message.deliveryCount === 0) out.u8(0x43);
  else out.number(UINT, message.deliveryCount);
  out.patch8(size);
}

function writeAnnotations(
  out: Output,
  message: WireMessage,
  sections: Sections | undefined,
  partitioned: boolean,
): void {
  out.section(MESSAGE_ANNOTATIONS);
  const map = out.map();
  if (sections) writeKept(out, sections);
  writeOurs(out, message, partitioned);
  out.endMap(map);
}

/** The sender's own annotations, byte for byte. */
export function writeKept(out: Output, sections: Sections): void {
  const section = findSection(sections, MESSAGE_ANNOTATIONS);
  if (!section || section.end - section.value < 4) return; // Most clients send an empty map.
  const items = rawItems(sections, section);
  for (let i = 0; i + 1 < items.length; i += 2) {
    if (OURS.has(String(new Reader(items[i]!).value()))) continue;
    out.encoded(items[i]!, items[i + 1]!);
  }
}

function writeOurs(out: Output, message: WireMessage, partitioned: boolean): void {
  out.entry(SEQUENCE, LONG, message.sequence);
  out.entry(ENQUEUED, TIMESTAMP, message.enqueuedAt.getTime());
  out.entry(ENQUEUED_SEQUENCE, LONG, message.originalSequence ?? message.sequence);
  if (message.lockedUntil) out.entry(LOCKED_UNTIL, TIMESTAMP, message.lockedUntil.getTime());
  // A message that had been scheduled keeps saying so when it is delivered, as the original's do.
  const state = message.state ?? (message.scheduledAt ? 'scheduled' : undefined);
  if (state) out.encoded(STATE, to.int(STATES[state]));
  // What is partitioned lies by its session id where there is one, and the original says so.
  const key = message.partitionKey ?? (partitioned ? message.sessionId : undefined);
  if (key !== undefined) out.encoded(PARTITION_KEY, to.string(key));
  if (message.scheduledAt) out.entry(SCHEDULED, TIMESTAMP, message.scheduledAt.getTime());
  if (message.deadLetterSource !== undefined) out.encoded(DEAD_LETTER_SOURCE, to.string(message.deadLetterSource));
}
