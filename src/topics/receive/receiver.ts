// What a consumer outside the handler holds: a subscription, a queue or a dead-letter queue, over all its partitions.
// Locks belong to messages, not to receivers: any receiver of the entity may settle by token, and closing a receiver
// releases nothing (but a session receiver releases its session).
import { steadyNow } from '../../kit/clock.ts';
import type { Sql } from '../../kit/database.ts';
import { Refusal } from '../../kit/refusal.ts';
import type { Entity } from '../entities/path.ts';
import { waitFor } from '../log/connection.ts';
import { listScheduled } from '../log/scheduled.ts';
import { partitionOf } from '../message.ts';
import { delivered, type Locked, type Received, tokenOf } from './received.ts';
import type { Enlisted, Handed, Hold, Peeked, Seat, SessionGrant } from './seat.ts';
import { getSessionState, setSessionState } from './session-state.ts';
import type { Properties, Settlement } from './settle.ts';
import type { Token } from './token.ts';

export type ReceiverOptions = {
  /** `receiveAndDelete`: messages are done with, durably, before they are handed out. */
  readonly mode?: 'peekLock' | 'receiveAndDelete' | undefined;
};

/** `{ id }` of one session, or the next that has messages. */
export type SessionChoice = {
  readonly id?: string | undefined;
  readonly waitMs?: number;
  readonly signal?: AbortSignal;
};

type SeatOptions = {
  readonly max: number;
  readonly waitMs: number;
  readonly destructive: boolean;
  readonly signal: AbortSignal;
};

type Deps = {
  readonly sql: Sql;
  /** Asked again for every call: subscriptions change, partitions move. */
  readonly entity: () => Entity;
  /** `fresh`: whoever owned the partitions a moment ago does not count. */
  readonly seats: (fresh?: boolean) => Promise<readonly Seat[]>;
  /** Aborts when the broker stops. */
  readonly ending: AbortSignal;
};

export class Receiver {
  readonly path: string;
  readonly mode: 'peekLock' | 'receiveAndDelete';
  readonly #deps: Deps;
  readonly #session: { readonly seat: Seat; grant: SessionGrant } | undefined;
  /** When the session's lock ends, on the steady clock. */
  #sessionEnds = 0;
  readonly #closing = new AbortController();

  constructor(
    path: string,
    deps: Deps,
    options: ReceiverOptions,
    session?: { readonly seat: Seat; readonly grant: SessionGrant },
  ) {
    this.path = path;
    this.mode = options.mode ?? 'peekLock';
    this.#deps = deps;
    this.#session = session && { ...session };
    if (session) this.#sessionEnds = steadyNow() + session.grant.until - Date.now();
  }

  get sessionId(): string | undefined {
    return this.#session?.grant.id;
  }

  get sessionLockedUntil(): Date | undefined {
    return this.#session && new Date(this.#session.grant.until);
  }

  /** How long the session's lock still holds, whatever the time of day is set to. */
  get sessionLockLeftMs(): number | undefined {
    return this.#session && this.#sessionEnds - steadyNow();
  }

  /** Up to `max` messages (1 unless told), waiting up to `waitMs` for the first (0 unless told: no wait). */
  async receive(
    options: { readonly max?: number; readonly waitMs?: number; readonly signal?: AbortSignal } = {},
  ): Promise<Received[]> {
    const { max = 1, waitMs = 0 } = options;
    const signal = options.signal ? AbortSignal.any([options.signal, this.#closing.signal]) : this.#closing.signal;
    for (let [left, end] = [waitMs, steadyNow() + waitMs]; ; left = Math.max(0, end - steadyNow())) {
      const received = await this.#receive({ max, waitMs: left, signal });
      if (received.length > 0 || this.#session || signal.aborted || this.#deps.ending.aborted) return received;
      if (steadyNow() + 1 >= end) return received;
      // The wait ended early because the partition moved: it goes on where the partition is now.
      await waitFor(50, signal);
    }
  }

  async #receive({
    max,
    waitMs,
    signal,
  }: {
    readonly max: number;
    readonly waitMs: number;
    readonly signal: AbortSignal;
  }): Promise<Received[]> {
    checkReceivable(this.#deps.entity());
    const destructive = this.mode === 'receiveAndDelete';
    if (this.#session) {
      const { seat, grant } = this.#session;
      const handed = await seat.receive({ max, waitMs, destructive, signal, session: grant });
      return handed.map((each) => this.#received(seat, each));
    }
    const seats = await this.#deps.seats();
    if (seats.length === 1) {
      const handed = await seats[0]!.receive({ max, waitMs, destructive, signal });
      return handed.map((each) => this.#received(seats[0]!, each));
    }
    return this.#receiveFromAny(seats, { max, waitMs, destructive, signal });
  }

  async #receiveFromAny(seats: readonly Seat[], options: SeatOptions): Promise<Received[]> {
    const from = Math.floor(Math.random() * seats.length);
    const turn = [...seats.slice(from), ...seats.slice(0, from)];
    const received: Received[] = [];
    for (const seat of turn) {
      const max = options.max - received.length;
      if (max <= 0) break;
      try {
        const handed = await seat.receive({ ...options, max, waitMs: 0 });
        received.push(...handed.map((each) => this.#received(seat, each)));
      } catch (error) {
        if (received.length === 0) throw error;
        break; // What is locked already is handed out; the next call meets the error again.
      }
    }
    if (received.length > 0 || options.waitMs <= 0) return received;
    return this.#waitAtAll(turn, options);
  }

  /**
   * Whoever is first ends the others' wait. Messages may come to several at the same moment: they are locked, and what is
   * too many is given back before anything is deleted.
   */
  async #waitAtAll(seats: readonly Seat[], options: SeatOptions): Promise<Received[]> {
    const first = new AbortController();
    const signal = AbortSignal.any([options.signal, first.signal]);
    const waits = await Promise.allSettled(
      seats.map(async (seat) => {
        try {
          const handed = await seat.receive({ ...options, destructive: false, signal });
          if (handed.length > 0) first.abort();
          return handed.map((each) => this.#received(seat, each));
        } catch (error) {
          first.abort();
          throw error;
        }
      }),
    );
    const locked = waits.flatMap((wait) => (wait.status === 'fulfilled' ? wait.value : []));
    const failed = waits.find((wait) => wait.status === 'rejected');
    if (failed && locked.length === 0) throw failed.reason;
    const received = locked.slice(0, options.max);
    const tooMany = locked.slice(options.max);
    if (tooMany.length > 0) await this.trySettle(tooMany, UNCOUNTED).catch(() => {}); // Their locks run out.
    return options.destructive ? this.#delete(received) : received;
  }

  /** Those of one partition are gone even where another one's cannot be deleted: these come again when their locks ran out. */
  async #delete(locked: readonly Received[]): Promise<Received[]> {
    const parts = [...Map.groupBy(locked, ({ partition }) => partition).values()];
    const settled = await Promise.allSettled(parts.map((part) => this.trySettle(part, { kind: 'complete' })));
    const deleted = parts.flatMap((part, i) => {
      const each = settled[i]!;
      return each.status === 'fulfilled' ? part.filter((_, j) => each.value[j]) : [];
    });
    const failed = settled.find((each) => each.status === 'rejected');
    if (failed && deleted.length === 0) throw failed.reason;
    return deleted;
  }

  #received(seat: Seat, { message, attempt, until }: Handed): Received {
    const lock: Token = { part: seat.part, epoch: seat.epoch & 0xffff, attempt, sequence: message.sequence };
    const lockedUntil = this.mode === 'receiveAndDelete' ? undefined : new Date(until);
    return delivered(message, lock, lockedUntil);
  }

  /** Done with these messages; resolves when that is durable. Throws `lock_lost` if any lock is lost (the others settle). */
  complete(messages: Locked | readonly Locked[]): Promise<void> {
    return this.#settle(messages, { kind: 'complete' });
  }

  /** Gives the messages back, to be delivered again with a delivery count one higher. */
  abandon(messages: Locked | readonly Locked[], properties?: Properties): Promise<void> {
    return this.#settle(messages, { kind: 'abandon', properties });
  }

  /** Gives the messages back as if they had not been delivered. */
  release(messages: Locked | readonly Locked[]): Promise<void> {
    return this.#settle(messages, UNCOUNTED);
  }

  /** Puts the messages aside; they come only to `receiveDeferred`. */
  defer(messages: Locked | readonly Locked[], properties?: Properties): Promise<void> {
    return this.#settle(messages, { kind: 'defer', properties });
  }

  deadLetter(
    messages: Locked | readonly Locked[],
    why: { readonly reason?: string; readonly description?: string; readonly properties?: Properties } = {},
  ): Promise<void> {
    return this.#settle(messages, { kind: 'deadLetter', ...why });
  }

  async #settle(messages: Locked | readonly Locked[], how: Settlement): Promise<void> {
    const lost = (await this.trySettle(messages, how)).filter((settled) => !settled).length;
    if (lost === 0) return;
    if (this.#session && !(await this.#session.seat.sessionHeld(this.#session.grant))) {
      throw new Refusal('session_lock_lost', `The lock of session "${this.#session.grant.id}" is lost.`);
    }
    throw new Refusal('lock_lost', `${lost} of the locks are lost: they ran out, or the messages are settled already.`);
  }

  /** Settles what it can; tells for each message whether its lock was held. */
  async trySettle(messages: Locked | readonly Locked[], how: Settlement): Promise<boolean[]> {
    const tokens = (Array.isArray(messages) ? messages : [messages]).map(tokenOf);
    const results = new Array<boolean>(tokens.length).fill(false);
    await this.#eachSeat(tokens, async (seat, holds, indexes) => {
      const settled = await seat.settle(holds, how, this.#session?.grant);
      for (const [i, index] of indexes.entries()) results[index] = settled[i]!;
    });
    return results;
  }

  /**
   * Prepares the settlement of messages of one partition for a transaction (transact.ts). Undefined where they are owned
   * by another node: then it takes two steps. Throws `lock_lost` for tokens that are none of this entity's.
   */
  async enlist(messages: readonly Locked[], how: Settlement): Promise<Enlisted[] | undefined> {
    const tokens = messages.map(tokenOf);
    const enlisted: (Enlisted | undefined)[] = [];
    let found = 0;
    await this.#eachSeat(tokens, async (seat, holds) => {
      found += holds.length;
      enlisted.push(seat.enlist?.(holds, how, this.#session?.grant));
    });
    if (found < tokens.length)
      throw new Refusal('lock_lost', 'A lock is lost: it ran out, or it is of another entity.');
    return enlisted.every((each) => each !== undefined) ? enlisted : undefined;
  }

  async #eachSeat(
    tokens: readonly (Token | undefined)[],
    work: (seat: Seat, holds: readonly Hold[], indexes: number[]) => Promise<void>,
  ): Promise<void> {
    const seats = this.#session ? [this.#session.seat] : await this.#seatsOf(tokens);
    const [only] = seats;
    if (seats.length === 1 && tokens.every((token) => belongs(token, only!))) {
      // Every token belongs to a seat, so none is undefined.
      return work(only!, tokens as Token[], [...tokens.keys()]);
    }
    const calls = seats.map((seat) => {
      const indexes = [...tokens.keys()].filter((i) => belongs(tokens[i], seat));
      return indexes.length === 0
        ? undefined
        : work(
            seat,
            indexes.map((i) => tokens[i]!),
            indexes,
          );
    });
    await Promise.all(calls);
  }

  /** A token that no seat knows may be of an owner that this node has not heard of yet. */
  async #seatsOf(tokens: readonly (Token | undefined)[]): Promise<readonly Seat[]> {
    const seats = await this.#deps.seats();
    const stray = tokens.some((token) => token && !seats.some((seat) => belongs(token, seat)));
    return stray ? this.#deps.seats(true) : seats;
  }

  /** Throws away up to `max` waiting messages that are older than `before`, the oldest first. Resolves to how many. */
  async deleteMessages(max: number, before: Date): Promise<number> {
    if (this.mode !== 'peekLock')
      throw new Refusal('bad_request', 'Only a receiver that locks can choose what it deletes.');
    let deleted = 0;
    while (deleted < max) {
      const messages = await this.receive({ max: Math.min(500, max - deleted) });
      const old = messages.filter((message) => message.enqueuedAt <= before);
      const kept = messages.filter((message) => message.enqueuedAt > before);
      await this.complete(old);
      await this.release(kept);
      deleted += old.length;
      if (old.length === 0 || kept.length > 0) break;
    }
    return deleted;
  }

  /** The new ends of the locks, in order. Throws `lock_lost` if any is lost. */
  async renewLock(messages: Locked | readonly Locked[]): Promise<Date[]> {
    const tokens = (Array.isArray(messages) ? messages : [messages]).map(tokenOf);
    const until = new Array<number>(tokens.length).fill(0);
    await this.#eachSeat(tokens, async (seat, holds, indexes) => {
      const ends = await seat.renew(holds);
      for (const [i, index] of indexes.entries()) until[index] = ends[i]!;
    });
    if (until.includes(0)) throw new Refusal('lock_lost', 'The lock ran out, or the message is settled already.');
    return until.map((end) => new Date(end));
  }

  /** Looks without locking: from a sequence on (the oldest unless told), in sequence order. */
  async peek(options: { readonly from?: number; readonly max?: number } = {}): Promise<Peeked[]> {
    const { from = 0, max = 1 } = options;
    const seats = await this.#deps.seats();
    const found: Peeked[] = [];
    for (const seat of [...seats].sort((a, b) => a.part - b.part)) {
      if (found.length >= max || seat.part < partitionOf(from)) continue;
      found.push(...(await seat.peek(from, max - found.length, this.#session?.grant.id)));
    }
    const { topic, kind } = this.#deps.entity();
    if (topic.kind === 'queue' && kind === 'live' && !this.#session && found.length < max) {
      const scheduled = await listScheduled(this.#deps.sql, topic, from, max - found.length);
      found.push(...scheduled.map((message) => ({ message, state: 'scheduled' as const })));
    }
    return found;
  }

  /** Deferred messages by number. Throws `message_not_found` unless all of them are deferred and free. */
  async receiveDeferred(sequences: readonly number[]): Promise<Received[]> {
    const seats = await this.#deps.seats();
    const received: Received[] = [];
    try {
      for (const [part, numbers] of Map.groupBy(sequences, partitionOf)) {
        const seat = seats.find((each) => each.part === part);
        if (!seat) throw new Refusal('message_not_found', `There is no message ${numbers[0]}.`);
        const handed = await seat.receiveDeferred(numbers, this.#session?.grant);
        received.push(...handed.map((each) => this.#received(seat, each)));
      }
    } catch (error) {
      await this.trySettle(received, UNCOUNTED).catch(() => {}); // Their locks run out.
      throw error;
    }
    if (this.mode === 'receiveAndDelete') await this.complete(received);
    return received;
  }

  /** Returns the new end of the session's lock. */
  async renewSessionLock(): Promise<Date> {
    const session = this.#needSession();
    const until = await session.seat.renewSession(session.grant);
    session.grant = { ...session.grant, until };
    this.#sessionEnds = steadyNow() + until - Date.now();
    return new Date(until);
  }

  async getSessionState(): Promise<Buffer | undefined> {
    const { seat, grant } = this.#needSession();
    await this.#holdSession(seat, grant);
    return getSessionState(this.#deps.sql, this.#deps.entity().subscription.id, grant.id);
  }

  /** Kept when the messages are gone; `undefined` clears it. */
  async setSessionState(state: Uint8Array | undefined): Promise<void> {
    const { seat, grant } = this.#needSession();
    const { topic, subscription } = this.#deps.entity();
    if (state && state.length > topic.settings.maxMessageBytes) {
      throw new Refusal('too_large', 'The state of a session is at most as large as a message.');
    }
    await this.#holdSession(seat, grant);
    await setSessionState(this.#deps.sql, subscription.id, grant.id, state);
  }

  async #holdSession(seat: Seat, grant: SessionGrant): Promise<void> {
    if (!(await seat.sessionHeld(grant))) {
      throw new Refusal('session_lock_lost', `The lock of session "${grant.id}" is lost.`);
    }
  }

  #needSession(): { readonly seat: Seat; grant: SessionGrant } {
    if (!this.#session) throw new Refusal('bad_request', 'This receiver has no session.');
    return this.#session;
  }

  /** Ends its waiting receives; a session is released. May be called twice. */
  async close(): Promise<void> {
    this.#closing.abort();
    if (this.#session) await this.#session.seat.releaseSession(this.#session.grant);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

const UNCOUNTED: Settlement = { kind: 'abandon', counted: false };

function belongs(token: Token | undefined, seat: Seat): boolean {
  return token !== undefined && token.part === seat.part && token.epoch === (seat.epoch & 0xffff);
}

function checkReceivable({ topic, subscription, kind }: Entity): void {
  for (const { status } of [topic.settings, subscription.settings]) {
    if (status === 'disabled' || status === 'receiveDisabled') {
      throw new Refusal('entity_disabled', `"${topic.name}" does not hand out messages now.`);
    }
  }
  const { forwardTo, forwardDeadLettersTo } = subscription.settings;
  const to = kind === 'live' ? forwardTo : kind === 'dead' ? forwardDeadLettersTo : null;
  if (to !== null) throw new Refusal('conflict', `Messages of this entity are forwarded to "${to}".`);
}
