// Looking at a subscription's messages without locking them: what is locked, waiting, deferred and unread, in order.

import { readBlocks } from '../log/read.ts';
import { type Message, PARTITION_SPAN } from '../message.ts';
import type { Cursor } from '../owner/cursor.ts';
import { messageOf } from './entry.ts';
import { loadHeld } from './held.ts';
import type { Peeked, PeekState } from './seat.ts';

/** Up to `max` messages from a sequence on. Messages whose time is over are not shown. */
export async function peekLiving(cursor: Cursor, from: number, max: number, session?: string): Promise<Peeked[]> {
  const now = Date.now();
  const found = new Map<number, Peeked>();
  const keep = (message: Message, state: PeekState) => {
    const fits = message.sequence >= from && (session === undefined || message.sessionId === session);
    const alive = state === 'deferred' || cursor.expiryOf(message) > now;
    if (fits && alive) found.set(message.sequence, { message, state });
  };
  for (const entry of cursor.outstanding.values()) if (entry.state !== 'done') keep(messageOf(entry), 'active');
  const { sql } = cursor.partition;
  for (const state of ['retry', 'deferred'] as const) {
    if ((state === 'retry' ? cursor.retry.count : cursor.deferred) === 0) continue;
    const rows = await loadHeld(sql, cursor, state, { from, limit: max, died: false });
    for (const entry of rows) keep(messageOf(entry), state === 'retry' ? 'active' : 'deferred');
  }
  const ahead = await peekUnread(cursor, Math.max(from, cursor.next), max, keep, found);
  const sorted = [...found.values()].sort((a, b) => a.message.sequence - b.message.sequence);
  // What lies behind the part of the log that was read may have gaps: cut there.
  return sorted.filter(({ message }) => message.sequence < ahead || message.sequence < cursor.next).slice(0, max);
}

/** Adds up to `max` unread messages; returns the sequence up to which everything was looked at. */
async function peekUnread(
  cursor: Cursor,
  from: number,
  max: number,
  keep: (message: Message, state: PeekState) => void,
  found: ReadonlyMap<number, Peeked>,
): Promise<number> {
  const { partition } = cursor;
  const place = { topicId: partition.topic.id, topic: partition.topic.name, partition: partition.part };
  const before = found.size;
  for (let at = from; at < partition.end; ) {
    const blocks = await readBlocks(partition.sql, place, at, { bytes: 1024 * 1024 });
    if (blocks.length === 0) break;
    for (const block of blocks) {
      for (let i = Math.max(0, at - block.first); i < block.count; i++) {
        const message = cursor.select(block, i);
        if (message) keep(message, 'active');
        if (found.size - before >= max) return block.first + i + 1;
      }
      at = block.end;
    }
  }
  return Infinity;
}

export async function peekDead(
  cursor: Cursor,
  kind: 'dead' | 'transfer',
  from: number,
  max: number,
): Promise<Peeked[]> {
  const start = Math.max(from, cursor.partition.part * PARTITION_SPAN);
  const { sql } = cursor.partition;
  const rows = await loadHeld(sql, cursor, kind, { from: start, limit: max });
  const found: Peeked[] = rows.map((entry) => ({ message: messageOf(entry), state: 'active' }));
  if (kind === 'transfer' || cursor.deferred === 0) return found;
  const deferred = await loadHeld(sql, cursor, 'deferred', { from: start, limit: max, died: true });
  found.push(...deferred.map((entry) => ({ message: messageOf(entry), state: 'deferred' as const })));
  return found.sort((a, b) => a.message.sequence - b.message.sequence).slice(0, max);
}
