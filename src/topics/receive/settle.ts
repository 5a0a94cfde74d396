// What consumers decide about messages that they hold, and what time decides about them. Everything becomes durable in
// one progress flush, together with the held row where there is one, before anybody is told.
import { Refusal } from '../../kit/refusal.ts';
import { setProperty } from '../log/matcher.ts';
import type { Message, PropertyValue } from '../message.ts';
import type { Cursor } from '../owner/cursor.ts';
import type { Change } from '../owner/progress.ts';
import { type Entry, messageOf, newEntry } from './entry.ts';
import { type HeldRow, type HeldState, hasDied, heldMessage, heldRow } from './held.ts';

export type Properties = Readonly<Record<string, PropertyValue>>;

export type Settlement =
  | { readonly kind: 'complete' }
  /** `counted: false` gives the message back as if it had never been delivered. */
  | { readonly kind: 'abandon'; readonly properties?: Properties | undefined; readonly counted?: boolean | undefined }
  | { readonly kind: 'defer'; readonly properties?: Properties | undefined }
  | {
      readonly kind: 'deadLetter';
      readonly reason?: string | undefined;
      readonly description?: string | undefined;
      readonly properties?: Properties | undefined;
    };

/** Makes a change durable: resolves when it is. */
export type Recorder = (change: Change) => Promise<void>;

/**
 * Settles entries whose locks the caller has checked. Resolves when it is durable. If it could not be written, the
 * locks run on, and the messages come again when they end. Changes go to `record`, which may write them in a
 * transaction of its own; giving back without changes is no more than memory and a count, and does not wait for it.
 */
export async function settle(
  cursor: Cursor,
  entries: readonly Entry[],
  how: Settlement,
  record: Recorder = (change) => cursor.record(change),
): Promise<void> {
  for (const entry of entries) entry.state = 'settling';
  try {
    await carryOut(cursor, entries, how, record);
  } catch (error) {
    for (const entry of unsettled(entries)) cursor.deskOf(entry).keepLocked(entry);
    throw error;
  }
}

function unsettled(entries: readonly Entry[]): Entry[] {
  return entries.filter((entry) => entry.state === 'settling');
}

async function carryOut(cursor: Cursor, entries: readonly Entry[], how: Settlement, record: Recorder): Promise<void> {
  if (how.kind === 'complete') return complete(cursor, entries, record);
  if (how.kind === 'defer') return defer(cursor, entries, how.properties, record);
  if (how.kind === 'abandon') return abandon(cursor, entries, how);
  if (entries.some((entry) => entry.home === 'transfer' || hasDied(messageOf(entry)))) {
    throw new Refusal('conflict', 'A message of a dead-letter queue cannot be dead-lettered again.');
  }
  const { reason, description, properties } = how;
  await hold(cursor, entries, 'dead', { properties, reason, description, record });
  tellDead(cursor, entries.length, how.reason ?? '');
}

/** A dead letter that is deferred stays one: it says still why it died, and is found among the dead letters. */
async function defer(
  cursor: Cursor,
  entries: readonly Entry[],
  properties: Properties | undefined,
  record: Recorder,
): Promise<void> {
  if (entries.some((entry) => entry.home === 'transfer')) {
    throw new Refusal('conflict', 'A message that could not be forwarded cannot be deferred.');
  }
  await hold(cursor, entries, 'deferred', { properties, record });
}

async function complete(cursor: Cursor, entries: readonly Entry[], record: Recorder): Promise<void> {
  await record(completion(entries));
  finished(cursor, entries);
  tell(cursor, 'topics.completed', entries.length);
}

/** The change that completing means, for those who write it in a transaction of their own. */
export function completion(entries: readonly Entry[]): Change {
  const done: number[] = [];
  const removed: number[] = [];
  for (const entry of entries) (entry.home === 'log' ? done : removed).push(entry.sequence);
  return { done, held: removed.length > 0 ? { put: [], removed } : undefined };
}

/** The completion of these entries is durable. */
export function finished(cursor: Cursor, entries: readonly Entry[]): void {
  for (const entry of entries) {
    entry.state = 'done';
    leave(cursor, entry);
  }
}

/** Takes the entry out of wherever it was kept in memory. */
function leave(cursor: Cursor, entry: Entry): void {
  cursor.deskOf(entry).unlock(entry);
  if (entry.home === 'log') cursor.leaveLog(entry);
  else if (entry.home === 'retry') cursor.retry.forget(entry.sequence);
  else if (entry.home === 'dead') cursor.dead.forget(entry.sequence);
  else if (entry.home === 'transfer') cursor.transfer.forget(entry.sequence);
  else {
    cursor.deferredLocked.delete(entry.sequence);
    cursor.deferred--;
  }
  cursor.sessions?.left(entry);
}

async function abandon(
  cursor: Cursor,
  entries: readonly Entry[],
  { properties, counted = true }: { properties?: Properties | undefined; counted?: boolean | undefined },
): Promise<void> {
  const dead = entries.filter((entry) => entry.home === 'dead' || entry.home === 'transfer');
  const deferred = entries.filter((entry) => entry.home === 'deferred');
  const living = entries.filter((entry) => entry.home === 'log' || entry.home === 'retry');
  if (dead.length > 0) await backToShelf(cursor, dead, properties);
  if (deferred.length > 0) await backToDeferred(cursor, deferred, properties, counted);
  if (living.length > 0) await giveBack(cursor, living, properties, counted);
  tell(cursor, 'topics.abandoned', entries.length);
}

/** Back into circulation, or to the dead letters when that was the last allowed delivery. */
async function giveBack(
  cursor: Cursor,
  entries: readonly Entry[],
  properties: Properties | undefined,
  counted: boolean,
): Promise<void> {
  const most = cursor.subscription.settings.maxDeliveryCount;
  const spent = counted ? entries.filter((entry) => entry.deliveryCount + 1 >= most) : [];
  const rest = counted ? entries.filter((entry) => entry.deliveryCount + 1 < most) : entries;
  if (counted) for (const entry of entries) entry.deliveryCount++;
  const burying = spent.length > 0 ? buryWorn(cursor, spent, properties) : undefined;
  if (rest.length > 0) await (properties ? keepChanged(cursor, rest, properties) : offerAgain(cursor, rest, counted));
  await burying;
}

async function buryWorn(cursor: Cursor, entries: readonly Entry[], properties: Properties | undefined): Promise<void> {
  const description = `Message could not be consumed after ${entries[0]!.deliveryCount} delivery attempts.`;
  await hold(cursor, entries, 'dead', { properties, reason: 'MaxDeliveryCountExceeded', description });
  tellDead(cursor, entries.length, 'MaxDeliveryCountExceeded');
}

async function offerAgain(cursor: Cursor, entries: readonly Entry[], counted: boolean): Promise<void> {
  const counts = new Map<number, number>();
  const put: HeldRow[] = [];
  for (const entry of entries) {
    if (entry.home === 'log') counts.set(entry.sequence, entry.deliveryCount);
    else put.push(heldRow(messageOf(entry), 'retry', new Date()));
    reoffer(cursor, entry);
  }
  cursor.pump();
  if (counted) await cursor.record({ done: [], counts, held: put.length > 0 ? { put, removed: [] } : undefined });
}

function reoffer(cursor: Cursor, entry: Entry): void {
  const desk = cursor.deskOf(entry);
  desk.unlock(entry);
  entry.state = 'ready';
  desk.offer(entry);
  cursor.sessions?.offered(entry);
}

/** Changed messages leave the log: this subscription's copy differs from it now. */
async function keepChanged(cursor: Cursor, entries: readonly Entry[], properties: Properties): Promise<void> {
  for (const entry of entries) entry.message = changed(entry.message, properties);
  await keepApart(cursor, entries);
}

async function keepApart(cursor: Cursor, entries: readonly Entry[]): Promise<void> {
  const put = entries.map((entry) => heldRow(messageOf(entry), 'retry', new Date()));
  await cursor.record({ done: inLog(entries), held: { put, removed: [] } });
  for (const entry of entries) {
    if (entry.home === 'log') {
      cursor.leaveLog(entry);
      entry.home = 'retry';
      cursor.retry.adopt(entry);
    }
    reoffer(cursor, entry);
  }
  cursor.pump();
}

/** Moves waiting messages out of the log, unchanged, to where they do not keep a generation of it. */
export async function setAside(cursor: Cursor, entries: readonly Entry[]): Promise<void> {
  for (const entry of entries) entry.state = 'settling';
  await keepApart(cursor, entries).catch((error: unknown) => {
    offerUnsettled(cursor, entries);
    throw error;
  });
}

function inLog(entries: readonly Entry[]): number[] {
  return entries.filter((entry) => entry.home === 'log').map((entry) => entry.sequence);
}

async function backToShelf(cursor: Cursor, entries: readonly Entry[], properties?: Properties): Promise<void> {
  if (properties) {
    for (const entry of entries) entry.message = changed(entry.message, properties);
    const put = entries.map((entry) =>
      heldRow(entry.message, entry.home as HeldState, new Date(), whyOf(entry.message)),
    );
    await cursor.record({ done: [], held: { put, removed: [] } });
  }
  for (const entry of entries) reoffer(cursor, entry);
  for (const desk of new Set(entries.map((entry) => cursor.deskOf(entry)))) desk.pump();
}

function whyOf(message: Message) {
  const { deadLetterReason, deadLetterDescription, deadLetterSource } = message;
  return { reason: deadLetterReason, description: deadLetterDescription, source: deadLetterSource };
}

async function backToDeferred(
  cursor: Cursor,
  entries: readonly Entry[],
  properties: Properties | undefined,
  counted: boolean,
): Promise<void> {
  for (const entry of entries) if (counted && !hasDied(messageOf(entry))) entry.deliveryCount++;
  await hold(cursor, entries, 'deferred', { properties, counted: false });
}

type Holding = {
  readonly properties?: Properties | undefined;
  readonly reason?: string | undefined;
  readonly description?: string | undefined;
  readonly counted?: boolean;
  readonly record?: Recorder;
};

/** Writes held rows in the place of what was there, and takes the entries out of circulation. */
async function hold(
  cursor: Cursor,
  entries: readonly Entry[],
  state: 'deferred' | 'dead' | 'transfer',
  { properties, reason, description, counted = state === 'deferred', record }: Holding,
): Promise<void> {
  const now = new Date();
  const source = pathOf(cursor);
  if (counted) for (const entry of entries) entry.deliveryCount++;
  const put = entries.map((entry) => {
    const message = properties ? changed(messageOf(entry), properties) : messageOf(entry);
    return heldRow(message, state, now, state === 'deferred' ? whyOf(message) : { reason, description, source });
  });
  const change = { done: inLog(entries), held: { put, removed: [] } };
  await (record ? record(change) : cursor.record(change));
  if (state === 'deferred') {
    finished(cursor, entries);
    cursor.deferred += entries.length;
  } else {
    buried(
      cursor,
      entries.map((entry, i) => ({ entry, row: put[i]! })),
      state,
    );
  }
}

/** A message with the row that holds it among the dead letters. */
export type Buried = { readonly entry: Entry; readonly row: HeldRow };

/** Those rows are durable. */
export function buried(cursor: Cursor, dead: readonly Buried[], state: 'dead' | 'transfer' = 'dead'): void {
  finished(
    cursor,
    dead.map(({ entry }) => entry),
  );
  for (const { row } of dead) cursor[state].put(deadEntry(cursor, row, state));
}

function deadEntry(cursor: Cursor, row: HeldRow, home: 'dead' | 'transfer'): Entry {
  return newEntry(heldMessage(cursor, row), home, row.deliveryCount, Infinity);
}

export function changed(message: Message, properties: Properties): Message {
  const merged: Record<string, PropertyValue> = { ...message.properties };
  for (const [name, value] of Object.entries(properties)) setProperty(merged, name, name.toLowerCase(), value);
  return { ...message, properties: merged };
}

/** `topic/Subscriptions/name`, or the queue's name. */
export function pathOf(cursor: Cursor): string {
  const { topic } = cursor.partition;
  return topic.kind === 'queue' ? topic.name : `${topic.name}/Subscriptions/${cursor.subscription.name}`;
}

/** Dead-letters (or `transfer`s) messages for a reason of ours, without anybody waiting for it. */
export function bury(
  cursor: Cursor,
  entries: readonly Entry[],
  reason: string,
  description: string,
  state: 'dead' | 'transfer' = 'dead',
): Promise<void> {
  for (const entry of entries) entry.state = 'settling';
  const burying = hold(cursor, entries, state, { reason, description });
  tellDead(cursor, entries.length, reason);
  return burying.catch(() => offerUnsettled(cursor, entries));
}

/** What time decided could not be written: back into circulation, where it is decided again. */
function offerUnsettled(cursor: Cursor, entries: readonly Entry[]): void {
  for (const entry of unsettled(entries)) reoffer(cursor, entry);
}

/** The message's time is over: dead letter or nothing. */
export function expire(cursor: Cursor, entry: Entry): void {
  entry.state = 'settling';
  if (cursor.subscription.settings.deadLetterOnExpiry) {
    void bury(cursor, [entry], 'TTLExpiredException', 'The message expired and was dead lettered.');
    return;
  }
  tell(cursor, 'topics.expired', 1);
  void cursor
    .record(completion([entry]))
    .then(() => finished(cursor, [entry]))
    .catch(() => offerUnsettled(cursor, [entry]));
}

/** Locks ran out: as if abandoned. */
export function unlockExpired(cursor: Cursor, entries: Entry[]): void {
  for (const entry of entries) entry.state = 'settling';
  void abandon(cursor, entries, {}).catch(() => offerUnsettled(cursor, entries));
}

function tell(
  cursor: Cursor,
  name: 'topics.completed' | 'topics.abandoned' | 'topics.expired' | 'topics.received' | 'topics.deferred',
  count: number,
): void {
  const { topic } = cursor.partition;
  cursor.deps.emit({ name, topic: topic.name, subscription: cursor.subscription.name, count });
}

export function tellDead(cursor: Cursor, count: number, reason: string): void {
  const { topic } = cursor.partition;
  const subscription = cursor.subscription.name;
  cursor.deps.emit({ name: 'topics.dead_lettered', topic: topic.name, subscription, count, reason });
}
