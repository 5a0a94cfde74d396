// Carries out sends: claims what is due, walks the devices page by page, and writes down after each page how far it came.
// A few sends run side by side, so that a small one does not wait for a broadcast.

import type { Emit } from '../kit/signals.ts';
import { type Aim, aimsAt, type Message } from './aims.ts';
import { type PushDeps, type Pushed, pushAims } from './push.ts';
import { selectPages } from './selection.ts';
import { claimSend, type OutcomeCounts, type Send, writeSendProgress } from './sends.ts';
import { parseTagExpression } from './tags.ts';

export type SenderSignal = { readonly name: 'hub.failed'; readonly error: unknown };
export type SenderDeps = PushDeps & { readonly emit: Emit<SenderSignal> };

const pageSize = 1_000;
const sideBySide = 4;
const pollMs = 1_000;
/** A send that fails again and again is not worth another try. */
const mostAttempts = 20;

export class HubSender {
  readonly #deps: SenderDeps;
  readonly #stop = new AbortController();
  readonly #running = new Set<Promise<void>>();
  readonly #poll: NodeJS.Timeout;

  private constructor(deps: SenderDeps) {
    this.#deps = deps;
    this.#poll = setInterval(() => this.wake(), pollMs);
  }

  static start(deps: SenderDeps): HubSender {
    const sender = new HubSender(deps);
    sender.wake();
    return sender;
  }

  /** Call after a send was enqueued: without it, the next look comes within a second. */
  wake(): void {
    if (this.#stop.signal.aborted || this.#running.size >= sideBySide) return;
    const running = this.#work()
      .catch((error: unknown) => this.#deps.emit({ name: 'hub.failed', error }))
      .finally(() => this.#running.delete(running));
    this.#running.add(running);
  }

  /** What is under way ends after its page, and goes on from there at the next start. */
  async stop(): Promise<void> {
    this.#stop.abort();
    clearInterval(this.#poll);
    await Promise.all(this.#running);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #work(): Promise<void> {
    for (;;) {
      if (this.#stop.signal.aborted) return;
      const send = await claimSend(this.#deps.database, this.#deps.now());
      if (send === undefined) return;
      await this.#carryOut(send);
    }
  }

  async #carryOut(send: Send): Promise<void> {
    const { database, now } = this.#deps;
    const { signal } = this.#stop;
    const outcomes = send.outcomes;
    if (send.attempt > mostAttempts) {
      await writeSendProgress(database, send, { ...send, state: 'Abandoned' }, now());
      return;
    }
    let reached = send.reached;
    for await (const { aims, last } of pagesOf(this.#deps, send)) {
      const pushed = await pushAims(this.#deps, send.hub, aims, { signal });
      // A page that was cut short counts as not done: its devices are walked again after the start.
      if (signal.aborted) return;
      count(outcomes, pushed);
      reached = last;
      if (!(await writeSendProgress(database, send, { reached, outcomes, state: 'Processing' }, now()))) return;
    }
    const state = Object.keys(outcomes).length === 0 ? 'NoTargetFound' : 'Completed';
    await writeSendProgress(database, send, { reached, outcomes, state }, now());
  }
}

/** Aims of one page after another; `last` is where the page ends. */
async function* pagesOf(
  { database, now }: SenderDeps,
  { hub, job, reached }: Send,
): AsyncGenerator<{ aims: Aim[]; last: string }> {
  if (job.to !== undefined) {
    if (reached === '') yield { aims: directAims(job.message, job.to), last: 'all' };
    return;
  }
  const expression = job.tags === undefined ? undefined : parseTagExpression(job.tags);
  const platforms = job.message.kind === 'native' ? [job.message.platform] : undefined;
  for await (const devices of selectPages(database, { hub, platforms, expression }, { after: reached, pageSize }, now))
    yield {
      aims: devices.flatMap((device) => aimsAt(job.message, expression, device)),
      last: devices.at(-1)!.id,
    };
}

/** Straight to addresses, whether they are known or not. */
export function directAims(message: Message, addresses: readonly Aim['address'][]): Aim[] {
  if (message.kind === 'template') return [];
  const { platform, body: payload, headers } = message;
  return addresses.map((address) => {
    const handle = typeof address === 'string' ? address : address.endpoint;
    return { platform, address, handle, payload, headers, deviceId: undefined };
  });
}

function count(outcomes: OutcomeCounts, pushed: readonly Pushed[]): void {
  for (const { aim, outcome } of pushed) {
    const counts = outcomes[aim.platform] ?? {};
    outcomes[aim.platform] = counts;
    counts[outcome] = (counts[outcome] ?? 0) + 1;
  }
}
