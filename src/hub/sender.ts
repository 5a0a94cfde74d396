// Carries out sends: claims legs that are due and runs them (leg-run.ts), some side by side. A leg of more than one chunk
// is long; only so many long ones run at once, so that a small send never waits for broadcasts.

import type { Emit } from '../kit/signals.ts';
import { LegRun } from './leg-run.ts';
import { claimLeg, closeForgottenSends, endLeg, giveUpMs, type Leg, releaseLeg } from './legs.ts';
import type { PushDeps } from './push.ts';

export type SenderSignal = { readonly name: 'hub.failed'; readonly error: unknown };
export type SenderDeps = PushDeps & { readonly emit: Emit<SenderSignal> };

const shortAtOnce = 4;
const longAtOnce = 4;
const pollMs = 1_000;
const lookForForgottenMs = 30_000;
/** A leg that fails waits so long for its next run. */
const pauseAfterFailureMs = 5_000;

export class HubSender {
  readonly #deps: SenderDeps;
  readonly #stop = new AbortController();
  readonly #running = new Set<Promise<void>>();
  readonly #poll: NodeJS.Timeout;
  #long = 0;
  #lookedAt = 0;

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
    if (this.#stop.signal.aborted || this.#running.size - this.#long >= shortAtOnce) return;
    const running = this.#work()
      .catch((error: unknown) => this.#deps.emit({ name: 'hub.failed', error }))
      .finally(() => this.#running.delete(running));
    this.#running.add(running);
  }

  /** What is under way ends after its chunk, and goes on from there at the next start. */
  async stop(): Promise<void> {
    this.#stop.abort();
    clearInterval(this.#poll);
    await Promise.all(this.#running);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #work(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      const leg = await claimLeg(this.#deps.database, this.#deps.now());
      if (leg === undefined) return this.#lookForForgotten();
      if (leg !== 'canceled') await this.#run(leg);
    }
  }

  async #run(leg: Leg): Promise<void> {
    let long = false;
    const mayGoOn = (): boolean => {
      if (long) return true;
      if (this.#long >= longAtOnce) return false;
      this.#long += 1;
      long = true;
      this.wake();
      return true;
    };
    try {
      await new LegRun(this.#deps, leg, { signal: this.#stop.signal, mayGoOn }).run();
    } catch (error) {
      await this.#failed(leg, error);
    } finally {
      if (long) this.#long -= 1;
    }
  }

  async #failed(leg: Leg, error: unknown): Promise<void> {
    const { database, emit, now } = this.#deps;
    emit({ name: 'hub.failed', error });
    const at = now();
    if (at.getTime() - leg.startedAt.getTime() > giveUpMs) await endLeg(database, leg, at, true);
    else await releaseLeg(database, leg, new Date(at.getTime() + pauseAfterFailureMs));
  }

  async #lookForForgotten(): Promise<void> {
    if (performance.now() - this.#lookedAt < lookForForgottenMs) return;
    this.#lookedAt = performance.now();
    await closeForgottenSends(this.#deps.database, this.#deps.now());
  }
}
