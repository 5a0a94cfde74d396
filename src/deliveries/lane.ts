// A lane carries one channel's deliveries: claims what is due, hands it to the channel in batches, settles the outcomes.
// It does nothing while nothing is due: it is woken by a plan that committed, by a slot that became free, or by one timer
// that is set to the next thing it knows of (a due time, a token, a probe), and by a slow poll as the safety net.
// A batch keeps its slot until its outcomes are durable, so a database that is away stops the claiming too.

import type { Clock } from '../kit/clock.ts';
import type { Database } from '../kit/database.ts';
import type { Emit } from '../kit/signals.ts';
import { TokenBucket } from '../kit/token-bucket.ts';
import { type Breaker, closed, opened } from './breaker.ts';
import type { Channel, ClaimedDelivery, Outcome } from './channel.ts';
import { claimDue, nextDue, renewLeases } from './claim.ts';
import { judge, judgeClaim, type Verdict } from './judge.ts';
import { DomainPacer } from './pacing.ts';
import type { LanePolicy } from './policy.ts';
import type { Settlement, Settler } from './settle.ts';
import type { DeliverySignal } from './signals.ts';

export type LaneDeps = {
  readonly database: Database;
  readonly settler: Settler;
  readonly emit: Emit<DeliverySignal>;
  readonly clock: Clock;
  readonly dice: () => number;
  /** This run of the node: what it has claimed is known as its own. */
  readonly run: number | undefined;
};

type Down = Extract<Outcome, { kind: 'down' }>;

/** Wait before the database is asked again after it failed. */
const DATABASE_PAUSE_MS = 1_000;

export class Lane {
  readonly #deps: LaneDeps;
  readonly #channel: Channel;
  readonly #policy: LanePolicy;
  readonly #bucket: TokenBucket | undefined;
  readonly #pacer: DomainPacer | undefined;
  /** Claimed and not settled yet: the leases to renew. */
  readonly #held = new Map<string, ClaimedDelivery>();
  readonly #running = new Set<Promise<void>>();
  #breaker: Breaker = closed;
  #slotsTaken = 0;
  #claiming = false;
  #claim: Promise<unknown> = Promise.resolve();
  #claimAgain = false;
  #mayHaveMore = false;
  #stopped = false;
  #timer: { readonly at: number; readonly cancel: () => void } | undefined;
  #cancelRenewal: (() => void) | undefined;

  constructor(deps: LaneDeps, channel: Channel, policy: LanePolicy) {
    this.#deps = deps;
    this.#channel = channel;
    this.#policy = policy;
    this.#bucket = policy.rate && new TokenBucket(policy.rate, deps.clock.now());
    this.#pacer = policy.domainRate && new DomainPacer(policy.domainRate);
  }

  /** Looks for due deliveries. Cheap to call often: calls during a claim make one more claim in all. */
  wake(): void {
    if (this.#stopped) return;
    if (this.#claiming) this.#claimAgain = true;
    else this.#track(this.#claimWhileThereIsMore());
  }

  /** Ends an alarm or an outage at once: a human has repaired what was wrong. */
  resume(): void {
    if (this.#breaker.state === 'open') this.#breaker = { ...this.#breaker, until: this.#deps.clock.now() };
    this.wake();
  }

  /** 'open' while the channel is down, 'alarm' while a human must act. */
  state(): 'closed' | 'open' | 'alarm' {
    if (this.#breaker.state === 'closed') return 'closed';
    return this.#breaker.alarm ? 'alarm' : 'open';
  }

  /** Claims no more; resolves when the batches at work are settled and the rest is given back. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#timer?.cancel();
    this.#timer = undefined;
    while (this.#running.size > 0) await Promise.all(this.#running);
    this.#endRenewal();
  }

  async #claimWhileThereIsMore(): Promise<void> {
    this.#claiming = true;
    try {
      do {
        this.#claimAgain = false;
        this.#mayHaveMore = await this.#claimOnce();
      } while ((this.#mayHaveMore || this.#claimAgain) && this.#room() > 0);
    } catch (error) {
      this.#failed('claim', error);
      this.#wakeIn(DATABASE_PAUSE_MS);
    } finally {
      this.#claiming = false;
    }
  }

  /** Claims as many as there is room for. False: everything that is due now has been claimed. */
  async #claimOnce(): Promise<boolean> {
    const limit = this.#room();
    if (limit === 0) return true;
    const now = new Date(this.#deps.clock.now());
    const { database, run } = this.#deps;
    const { leaseMs, pollMs } = this.#policy;
    const claim = claimDue(database, { channel: this.#channel.name, limit, now, leaseMs, run }).then((deliveries) => {
      this.#send(deliveries);
      return deliveries.length;
    });
    this.#claim = claim;
    if ((await claim) === limit) return true;
    const next = await nextDue(database, this.#channel.name, now);
    this.#wakeIn(Math.min(pollMs, next ? Math.max(next.getTime() - this.#deps.clock.now(), 1) : pollMs));
    return false;
  }

  /** How many may be claimed now. Where something other than a free slot is missing, the timer is set to its coming. */
  #room(): number {
    if (this.#stopped) return 0;
    const now = this.#deps.clock.now();
    if (this.#breaker.state === 'open') return this.#probeRoom(this.#breaker.until - now);
    const slots = (this.#policy.concurrency - this.#slotsTaken) * this.#policy.batchSize;
    if (slots === 0 || !this.#bucket) return slots;
    const tokens = this.#bucket.available(now);
    if (tokens === 0) this.#wakeIn(this.#bucket.readyInMs(1, now));
    return Math.min(slots, tokens);
  }

  #probeRoom(waitMs: number): number {
    if (this.#slotsTaken > 0) return 0;
    if (waitMs > 0) this.#wakeIn(waitMs);
    return waitMs > 0 ? 0 : 1;
  }

  #send(claimed: readonly ClaimedDelivery[]): void {
    // A process that was suspended for longer than its leases claims what it is still sending. It must not send it again:
    // the attempt under way goes on and settles by the new claim.
    const fresh = claimed.filter((delivery) => !this.#held.has(delivery.id));
    for (const delivery of claimed) this.#held.set(delivery.id, delivery);
    this.#keepLeases();
    const now = this.#deps.clock.now();
    const ready: ClaimedDelivery[] = [];
    const others: Settlement[] = [];
    for (const delivery of fresh) {
      const verdict = this.#verdictBeforeSending(delivery, now);
      if (verdict) others.push({ delivery, verdict, at: new Date(now), tookMs: 0 });
      else ready.push(delivery);
    }
    this.#bucket?.take(ready.length, now);
    if (others.length > 0) this.#track(this.#settle(others));
    for (let i = 0; i < ready.length; i += this.#policy.batchSize) {
      this.#track(this.#attempt(ready.slice(i, i + this.#policy.batchSize)));
    }
  }

  #verdictBeforeSending(delivery: ClaimedDelivery, now: number): Verdict | undefined {
    if (this.#stopped) return { kind: 'back', dueAt: undefined, cause: undefined };
    const dead = judgeClaim(delivery, this.#policy.retry);
    if (dead) return dead;
    const slot = this.#pacer?.admit(delivery.endpoint, now);
    return slot === undefined ? undefined : { kind: 'back', dueAt: new Date(slot), cause: undefined };
  }

  async #attempt(batch: readonly ClaimedDelivery[]): Promise<void> {
    this.#slotsTaken++;
    const begun = this.#deps.clock.now();
    const probing = this.#breaker.state === 'open';
    const outcomes = await this.#deliver(batch);
    this.#turnBreaker(outcomes, probing);
    const ended = this.#deps.clock.now();
    const settlements = batch.map((delivery, i) => this.#settlement(delivery, outcomes[i], begun, ended));
    await this.#settle(settlements);
    this.#slotsTaken--;
    if (this.#mayHaveMore || this.#breaker.state === 'open' || probing) this.wake();
  }

  async #deliver(batch: readonly ClaimedDelivery[]): Promise<readonly Outcome[]> {
    try {
      return await this.#channel.deliver(batch);
    } catch (error) {
      this.#failed('deliver', error);
      return [];
    }
  }

  /** A batch that was under way when the lane paused says nothing new; the probe alone decides. */
  #turnBreaker(outcomes: readonly Outcome[], probing: boolean): void {
    const down = outcomes.find((outcome): outcome is Down => outcome.kind === 'down');
    if (down && (probing || this.#breaker.state === 'closed')) this.#pause(down);
    else if (!down && probing && this.#breaker.state === 'open') {
      this.#breaker = closed;
      this.#mayHaveMore = true;
      this.#deps.emit({ name: 'lane.resumed', channel: this.#channel.name });
    }
  }

  #pause(down: Down): void {
    const { clock, dice, emit } = this.#deps;
    const now = clock.now();
    const breaker = opened(this.#breaker, down, this.#policy.breaker, now, dice());
    this.#breaker = breaker;
    if (breaker.state === 'closed') return;
    const forMs = breaker.until - now;
    emit({ name: 'lane.paused', channel: this.#channel.name, cause: down.cause, alarm: breaker.alarm, forMs });
  }

  #settlement(delivery: ClaimedDelivery, outcome: Outcome | undefined, begun: number, ended: number): Settlement {
    const given: Outcome = outcome ?? { kind: 'retry', cause: 'channel_failed', retryAfterMs: undefined };
    const at = new Date(ended);
    const verdict = judge(delivery, given, this.#policy.retry, at, this.#deps.dice());
    return { delivery, verdict, at, tookMs: ended - begun };
  }

  /** Repeats until the database has it: an outcome that is forgotten would be sent a second time. */
  async #settle(settlements: readonly Settlement[]): Promise<void> {
    for (let open = settlements; open.length > 0; ) {
      const current = open.map((each) => ({ ...each, delivery: this.#latest(each.delivery) }));
      try {
        const settled = await this.#deps.settler.settle(current);
        // What was not ours any more may have been taken by our own claim, whose answer is still on its way.
        if (current.some((each) => !settled.has(each.delivery.id))) await this.#claim.catch(() => {});
        open = current.filter((each) => !this.#finish(each, settled.has(each.delivery.id)));
      } catch (error) {
        this.#failed('settle', error);
        await new Promise<void>((resolve) => this.#deps.clock.after(DATABASE_PAUSE_MS, resolve));
      }
    }
  }

  /** The newest claim of what is being sent. Its failures are those of before: a lapse that we outlived is none. */
  #latest(delivery: ClaimedDelivery): ClaimedDelivery {
    const held = this.#held.get(delivery.id);
    return held ? { ...held, failures: delivery.failures } : delivery;
  }

  /** False if this lane has claimed the delivery anew before the settlement: it is to be settled by the new claim. */
  #finish(settlement: Settlement, wasOurs: boolean): boolean {
    const { id, attempt } = settlement.delivery;
    const held = this.#held.get(id);
    const claimedAnew = held !== undefined && held.attempt > attempt;
    if (claimedAnew && !wasOurs) return false;
    this.#held.delete(id);
    this.#settled(settlement, wasOurs);
    if (claimedAnew) this.#send([held]); // claimed again after the settlement, which is how a retry comes back
    return true;
  }

  #settled({ delivery, verdict, tookMs }: Settlement, wasOurs: boolean): void {
    const { id, attempt, channel } = delivery;
    if (this.#held.size === 0) this.#endRenewal();
    if (!wasOurs) this.#deps.emit({ name: 'delivery.fenced', channel, deliveryId: id, attempt });
    else this.#tell(delivery, verdict, tookMs);
    if ('dueAt' in verdict && verdict.dueAt) this.#wakeIn(verdict.dueAt.getTime() - this.#deps.clock.now());
  }

  #tell({ id, channel, attempt }: ClaimedDelivery, verdict: Verdict, tookMs: number): void {
    if (verdict.kind === 'back') return;
    const cause = 'cause' in verdict ? verdict.cause : undefined;
    const reason = 'reason' in verdict ? verdict.reason : undefined;
    const outcome = verdict.kind;
    this.#deps.emit({ name: 'delivery.attempted', channel, deliveryId: id, attempt, outcome, cause, reason, tookMs });
  }

  #keepLeases(): void {
    if (this.#cancelRenewal || this.#held.size === 0) return;
    this.#cancelRenewal = this.#deps.clock.after(this.#policy.leaseMs / 3, () => {
      this.#cancelRenewal = undefined;
      this.#keepLeases();
      if (this.#held.size > 0) this.#track(this.#renew());
    });
  }

  #endRenewal(): void {
    this.#cancelRenewal?.();
    this.#cancelRenewal = undefined;
  }

  async #renew(): Promise<void> {
    const until = new Date(this.#deps.clock.now() + this.#policy.leaseMs);
    try {
      await renewLeases(this.#deps.database, [...this.#held.values()], until);
    } catch (error) {
      this.#failed('renew', error);
    }
  }

  /** Sets the timer, unless it is set to something sooner. */
  #wakeIn(ms: number): void {
    if (this.#stopped) return;
    const at = this.#deps.clock.now() + Math.max(ms, 1);
    if (this.#timer && this.#timer.at <= at) return;
    this.#timer?.cancel();
    const cancel = this.#deps.clock.after(Math.max(ms, 1), () => {
      this.#timer = undefined;
      this.wake();
    });
    this.#timer = { at, cancel };
  }

  #track(work: Promise<void>): void {
    const tracked = work.finally(() => this.#running.delete(tracked));
    this.#running.add(tracked);
  }

  #failed(doing: 'claim' | 'deliver' | 'renew' | 'settle', error: unknown): void {
    this.#deps.emit({ name: 'lane.failed', channel: this.#channel.name, doing, error });
  }
}
