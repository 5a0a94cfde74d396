// Forwarding: what arrives in a subscription or queue, or among its dead letters, goes on to another queue or topic.
// The append there and the completion here are one transaction, so nothing is lost or doubled on the way.

import { Refusal } from '../../kit/refusal.ts';
import type { Catalogue } from '../entities/catalogue.ts';
import { checkMessages } from '../log/check.ts';
import { isOutage, waitFor } from '../log/connection.ts';
import type { Outgoing } from '../log/plan.ts';
import type { Publisher } from '../log/publish.ts';
import type { Cursor } from '../owner/cursor.ts';
import type { Owners } from '../owner/owners.ts';
import { appendIn } from '../owner/progress.ts';
import type { EmitTopics } from '../signals.ts';
import type { Dispenser } from './dispenser.ts';
import { type Entry, messageOf } from './entry.ts';
import { bury, completion, finished, settle } from './settle.ts';

/** A message forwarded more often than this is dead-lettered. */
const MOST_HOPS = 4;

type Deps = {
  readonly catalogue: Catalogue;
  readonly owners: Owners;
  readonly publisher: Publisher;
  readonly emit: EmitTopics;
};

type Route = { readonly to: string; readonly stop: AbortController; readonly ended: Promise<void> };

/** Keeps one mover running for every cursor that forwards. */
export class Forwarders {
  readonly #deps: Deps;
  readonly #routes = new Map<string, Route>();
  #stopped = false;

  constructor(deps: Deps) {
    this.#deps = deps;
    deps.owners.onCursor((cursor) => this.update(cursor));
  }

  /** Brings the movers of this cursor in line with its settings. */
  update(cursor: Cursor): void {
    const { forwardTo, forwardDeadLettersTo } = cursor.subscription.settings;
    this.#follow(cursor, 'live', forwardTo);
    this.#follow(cursor, 'dead', forwardDeadLettersTo);
  }

  #follow(cursor: Cursor, kind: 'live' | 'dead', to: string | null): void {
    const { subscription, partition } = cursor;
    const key = `${subscription.id}/${partition.part}/${partition.epoch}/${subscription.incarnation}/${kind}`;
    const known = this.#routes.get(key);
    if (known?.to === to || this.#stopped) return;
    known?.stop.abort();
    this.#routes.delete(key);
    if (to === null) return;
    const stop = new AbortController();
    const signal = AbortSignal.any([stop.signal, cursor.closed]);
    const ended = this.#run(cursor, kind, to, signal).finally(() => {
      if (this.#routes.get(key)?.stop === stop) this.#routes.delete(key);
    });
    this.#routes.set(key, { to, stop, ended });
  }

  async #run(cursor: Cursor, kind: 'live' | 'dead', to: string, signal: AbortSignal): Promise<void> {
    const desk: Dispenser = kind === 'live' ? cursor.desk : cursor.dead.desk;
    let waitsFor = '';
    for (let pause = 100; !signal.aborted; ) {
      const entries = await desk.receive({ max: 200, waitMs: Infinity, lockMs: Infinity, signal });
      if (entries.length === 0) continue;
      try {
        await this.#move(cursor, kind, to, entries);
        pause = 100;
        waitsFor = '';
      } catch (error) {
        if (!(error instanceof Refusal)) this.#failed(to, error);
        else if (error.code !== waitsFor) this.#waits(cursor, to, error);
        waitsFor = error instanceof Refusal ? error.code : waitsFor;
        for (const entry of entries) if (entry.state === 'settling') entry.state = 'locked';
        const left = entries.filter((entry) => entry.state === 'locked');
        await waitFor(pause, signal);
        pause = Math.min(pause * 2, 10_000);
        await settle(cursor, left, { kind: 'abandon', counted: false }).catch(() => {});
      }
    }
  }

  #failed(to: string, error: unknown): void {
    if (!isOutage(error)) this.#deps.emit({ name: 'topics.task_failed', task: `forward to ${to}`, error });
  }

  /** The destination is closed or full, which is somebody's wish and may last: told once. */
  #waits({ partition, subscription }: Cursor, to: string, { message: cause }: Refusal): void {
    const from = { topic: partition.topic.name, subscription: subscription.name };
    this.#deps.emit({ name: 'topics.forward_waits', ...from, to, cause });
  }

  async #move(cursor: Cursor, kind: 'live' | 'dead', to: string, entries: readonly Entry[]): Promise<void> {
    const far = entries.filter((entry) => (entry.message.hops ?? 0) >= MOST_HOPS);
    if (far.length > 0 && kind === 'live') {
      const words = `The message was forwarded ${MOST_HOPS} times; that is the most.`;
      await bury(cursor, far, 'MaxTransferHopCountExceeded', words);
    }
    const rest = kind === 'live' ? entries.filter((entry) => !far.includes(entry)) : entries;
    const topic = this.#deps.catalogue.find(to);
    if (!topic) return this.#cannot(cursor, rest, `There is no topic or queue "${to}".`);
    for (const entry of rest) {
      // A message that the destination never takes must not hold up the others; a closed destination may open again.
      const message = forwarded(entry);
      const refusal = refusalOf(() => checkMessages(topic, [message]));
      if (refusal?.code === 'entity_disabled') throw refusal;
      if (refusal) await this.#cannot(cursor, [entry], refusal.message);
    }
    const good = rest.filter((entry) => entry.state === 'locked');
    if (good.length === 0) return;
    for (const entry of good) entry.state = 'settling';
    const moving = this.#deps.publisher.publish(topic, good.map(forwarded), (sql) =>
      appendIn(sql, cursor, completion(good)),
    );
    await cursor.deps.progress.track(moving);
    finished(cursor, good);
  }

  async #cannot(cursor: Cursor, entries: readonly Entry[], why: string): Promise<void> {
    if (entries.length > 0) await bury(cursor, entries, 'ForwardingFailed', why, 'transfer');
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    const routes = [...this.#routes.values()];
    for (const { stop } of routes) stop.abort();
    await Promise.all(routes.map(({ ended }) => ended));
  }
}

function refusalOf(work: () => void): Refusal | undefined {
  try {
    work();
    return undefined;
  } catch (error) {
    if (error instanceof Refusal) return error;
    throw error;
  }
}

function forwarded(entry: Entry): Outgoing {
  const message = messageOf(entry);
  const { deadLetterReason, deadLetterDescription } = message;
  const reasons =
    deadLetterReason === undefined && deadLetterDescription === undefined
      ? undefined
      : { DeadLetterReason: deadLetterReason ?? null, DeadLetterErrorDescription: deadLetterDescription ?? null };
  const properties = reasons ? { ...message.properties, ...reasons } : message.properties;
  const originalSequence = message.originalSequence ?? message.sequence;
  return { ...message, properties, scheduledAt: undefined, hops: (message.hops ?? 0) + 1, originalSequence };
}
