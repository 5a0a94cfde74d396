// Carries out one leg of a send: reads devices page by page, pushes them slice by slice, and settles the slices that are
// done, in their order, as a chunk. Not more than a thousand devices are under way at a time, from the push until what
// became of it is durable: these are what is pushed again when this process dies. With slices of half of that, one
// is on the line while another is being written down. What may be tried again is written down with the chunk and tried
// between later ones, so that a device in trouble holds up nobody.

import { setImmediate as immediate, setTimeout as pause } from 'node:timers/promises';
import { sqlState } from '../kit/database.ts';
import { type Aim, AimList } from './aim-list.ts';
import { Aimer, aimsAt, directAims } from './aims.ts';
import { type Done, dueAtOf, type Running, takeDone, together } from './chunk.ts';
import { outcomeCode } from './fan-out.ts';
import { type Lanes, pushPlatforms } from './lanes.ts';
import {
  type DueFailure,
  endLeg,
  findDueFailures,
  giveUpMs,
  type Leg,
  leaseMs,
  nextRetry,
  type RetriedFailure,
  releaseLeg,
  renewLeg,
  resumeLegs,
  settleChunk,
  settleRetried,
  splitLeg,
} from './legs.ts';
import { type PushDeps, type PushedChunk, pushChunk } from './push.ts';
import { findPushDevices, type Lookup, PushPage, planLookup, readPushPage } from './push-page.ts';
import { addCount, type OutcomeCounts } from './sends.ts';
import { addressSlices, deviceSlices, firstPageSize, type Slice, sliceSize } from './slices.ts';
import { noTagLimits, parseTagExpression, type TagExpression } from './tags.ts';

const mostUnderWay = 1_000;
const slicesUnderWay = mostUnderWay / sliceSize;
const mostTries = 5;
/** So long a run waits for its own next try; for longer it gives the leg back. */
const shortWaitMs = 3_000;
const retriesAtOnce = 1_000;
/** How long an outage of the database may last before the run is given up; what is pushed is then pushed again. */
const outageMs = 60_000;

export type RunOptions = {
  readonly signal: AbortSignal;
  /** Asked before each chunk but the first: false gives the leg back, because others wait. */
  readonly mayGoOn: () => boolean;
};

export class LegRun {
  readonly #deps: PushDeps;
  readonly #leg: Leg;
  readonly #options: RunOptions;
  readonly #outcomes: OutcomeCounts;
  readonly #expression: TagExpression | undefined;
  /** Known once the first page has been read. */
  #lookup: Lookup | undefined;
  #chunks: number;
  /** Of slices that are through. */
  readonly #spare: AimList[] = [];
  #reached: string;
  #walked: boolean;
  #retryAt: Date | undefined;
  #downUntil: Date | undefined;
  /** What the first push went through. */
  #lanes: Lanes | undefined;
  /** Another node has the leg. */
  #lost = false;

  constructor(deps: PushDeps, leg: Leg, options: RunOptions) {
    this.#deps = deps;
    this.#leg = leg;
    this.#options = options;
    this.#outcomes = leg.outcomes;
    this.#expression = leg.job.tags === undefined ? undefined : parseTagExpression(leg.job.tags, noTagLimits);
    this.#chunks = leg.chunks;
    this.#reached = leg.reached;
    this.#walked = leg.walked;
    this.#retryAt = leg.retryAt;
  }

  /** Until the leg has ended, or is given back, or is lost to another node. */
  async run(): Promise<void> {
    const renewing = setInterval(() => void this.#renew(), leaseMs / 3);
    try {
      while (await this.#step());
    } finally {
      clearInterval(renewing);
    }
  }

  /** False when the run is over. */
  async #step(): Promise<boolean> {
    const { database } = this.#deps;
    const now = this.#deps.now();
    if (this.#lost) return false;
    if (this.#options.signal.aborted) return this.#giveBack(now);
    if (this.#downUntil !== undefined) return this.#waitForLane(this.#downUntil, now);
    if (this.#retryAt !== undefined && this.#retryAt <= now) return this.#retry();
    if (!this.#walked) return this.#walk();
    if (this.#retryAt !== undefined) return this.#waitForRetry(this.#retryAt, now);
    await endLeg(database, this.#leg, now, false);
    return false;
  }

  async #giveBack(dueAt: Date): Promise<false> {
    await releaseLeg(this.#deps.database, this.#leg, dueAt);
    return false;
  }

  /** Where credentials were set anew while this ran, what waited then goes on (resumeLegs); this leg did not wait yet. */
  async #waitForLane(until: Date, now: Date): Promise<false> {
    const { database, lanes } = this.#deps;
    const { hub, startedAt } = this.#leg;
    if (now.getTime() - startedAt.getTime() >= giveUpMs) {
      await endLeg(database, this.#leg, now, true);
      return false;
    }
    await this.#giveBack(until);
    if (this.#lanes !== undefined && (await lanes.areRenewed(hub, this.#lanes)))
      await resumeLegs(database, hub, this.#deps.now());
    return false;
  }

  async #waitForRetry(at: Date, now: Date): Promise<boolean> {
    const ms = at.getTime() - now.getTime();
    if (ms > shortWaitMs) return this.#giveBack(at);
    await pause(ms, undefined, { signal: this.#options.signal }).catch(() => {});
    return true;
  }

  async #renew(): Promise<void> {
    // An outage: the next settlement finds out whether the leg is still ours.
    const kept = await renewLeg(this.#deps.database, this.#leg, this.#deps.now()).catch(() => true);
    if (!kept) this.#lost = true;
  }

  /** Slice after slice, until there are no more or something else has to be done first. */
  async #walk(): Promise<boolean> {
    const first = await this.#first();
    if (first === 'split') return false;
    const slices = this.#slicesOf(first);
    const running: Running[] = [];
    let settling: Promise<boolean> | undefined;
    try {
      for (let begun = 0, more = true; ; ) {
        const done = takeDone(running);
        settling = done.length === 0 ? undefined : this.#settle(done);
        // Whoever waits for it may fail first. It leaves before the next slice takes this thread for itself.
        settling?.catch(() => {});
        if (settling) await immediate();
        while (more && running.length + done.length < slicesUnderWay) {
          if (begun >= slicesUnderWay && !this.#mayWalk()) break;
          const next = await slices.next();
          if (!next.done) running.push(this.#begin(next.value));
          begun += 1;
          more = next.done === false && !next.value.walked;
        }
        if (settling !== undefined && !(await settling)) return false;
        if (running.length === 0) break;
        if (settling === undefined) await running[0]!.pushed;
      }
    } finally {
      // However this ends, nothing may be on its way when the leg changes hands.
      await Promise.allSettled([settling, ...running.map(({ pushed }) => pushed)]);
    }
    if (this.#walked || this.#downUntil !== undefined || this.#options.mayGoOn()) return true;
    return this.#giveBack(this.#deps.now());
  }

  #begin(slice: Slice): Running {
    const running: Running = {
      slice,
      pushed: this.#push(slice.aims).then((result) => {
        running.result = result;
      }),
      result: undefined,
    };
    // Whoever waits for it may fail first.
    running.pushed.catch(() => {});
    return running;
  }

  #mayWalk(): boolean {
    const { signal, mayGoOn } = this.#options;
    if (signal.aborted || this.#lost || this.#downUntil !== undefined) return false;
    return mayGoOn() && (this.#retryAt === undefined || this.#retryAt > this.#deps.now());
  }

  /** The first page of all platforms tells whether there are so many devices that each platform should go its own pace. */
  async #first(): Promise<PushPage | 'split'> {
    const { database, now } = this.#deps;
    const page = await this.#durably(() => this.#readPage(this.#reached, firstPageSize));
    if (this.#leg.platform !== '*' || page.walked) return page;
    await splitLeg(database, this.#leg, pushPlatforms, now());
    return 'split';
  }

  #slicesOf(first: PushPage): AsyncGenerator<Slice> {
    const { job } = this.#leg;
    if (job.to !== undefined) return addressSlices(job.message, job.to, Number(this.#reached));
    const aimer = new Aimer(job.message, this.#expression);
    const read = (after: string, limit: number) => this.#durably(() => this.#readPage(after, limit));
    return deviceSlices(aimer, read, first, this.#spare);
  }

  async #readPage(after: string, limit: number): Promise<PushPage> {
    if (this.#leg.job.to !== undefined) return noPage;
    const { hub, platform } = this.#leg;
    const { database, now } = this.#deps;
    const selection = { hub, platform: platform === '*' ? undefined : platform, expression: this.#expression };
    this.#lookup ??= await planLookup(database, selection, limit);
    return readPushPage(database, selection, { after, limit, lookup: this.#lookup }, now());
  }

  async #push(aims: AimList): Promise<PushedChunk> {
    this.#lanes ??= await this.#deps.lanes.of(this.#leg.hub);
    return pushChunk(this.#deps, this.#leg.hub, aims, { signal: this.#options.signal, collapseId: this.#leg.send });
  }

  /** False when the leg is another's by now. */
  async #settle(done: readonly Done[]): Promise<boolean> {
    const now = this.#deps.now();
    const { job } = this.#leg;
    const { down, ...chunk } = together(done, now, job.to && Number(this.#reached));
    for (const { slice, result } of done) this.#count(slice.aims, result);
    const settled = { ...chunk, chunk: this.#chunks, outcomes: this.#outcomes };
    for (const { dueAt } of chunk.failures) this.#due(dueAt);
    if (down) this.#downUntil = new Date(now.getTime() + down.waitMs);
    const kept = await this.#durably(() => settleChunk(this.#deps.database, this.#leg, settled, now));
    if (!kept) this.#lost = true;
    this.#spare.push(...done.map(({ slice }) => slice.aims));
    this.#chunks += 1;
    this.#reached = chunk.reached;
    this.#walked = chunk.walked;
    return kept;
  }

  #due(at: Date | undefined): void {
    if (at !== undefined && (this.#retryAt === undefined || at < this.#retryAt)) this.#retryAt = at;
  }

  #count(aims: AimList, { codes, failed }: PushedChunk): void {
    const delivered = aims.kinds.map(() => 0);
    for (let i = 0; i < codes.length; i += 1)
      if (codes[i] === outcomeCode.delivered) delivered[aims.placeOfKind(i)]! += 1;
      else if (codes[i] === outcomeCode.skipped) addCount(this.#outcomes, aims.kindAt(i).platform, 'Skipped');
    for (const [i, { platform }] of aims.kinds.entries()) addCount(this.#outcomes, platform, 'Success', delivered[i]);
    for (const { index, outcome, retryInMs } of failed)
      if (retryInMs === undefined) addCount(this.#outcomes, aims.kindAt(index).platform, outcome);
  }

  /** Tries what is due again. */
  async #retry(): Promise<boolean> {
    const { database, now } = this.#deps;
    const due = await this.#durably(() => findDueFailures(database, this.#leg, now(), retriesAtOnce));
    if (due.length > 0) {
      const found = await this.#durably(() => this.#aimsOf(due));
      const pushed = await this.#push(AimList.of(found.aims));
      const news = this.#judgeRetries(due, found, pushed);
      const kept = await this.#durably(() => settleRetried(database, this.#leg, this.#outcomes, news, now()));
      if (!kept) this.#lost = true;
      if (pushed.down) this.#downUntil = new Date(now().getTime() + pushed.down.waitMs);
    }
    this.#retryAt = await this.#durably(() => nextRetry(database, this.#leg));
    return true;
  }

  /** The pushes as they are now: an app may have moved to another address meanwhile. `places[i]`: the failure of aim i. */
  async #aimsOf(due: readonly DueFailure[]): Promise<{ aims: Aim[]; places: number[] }> {
    const { hub, job } = this.#leg;
    const ids = [...new Set(due.flatMap(({ deviceId }) => deviceId ?? []))];
    const devices = await findPushDevices(this.#deps.database, hub, ids, this.#deps.now());
    const aims: Aim[] = [];
    const places: number[] = [];
    due.forEach(({ deviceId, part, platform }, i) => {
      const device = devices.get(deviceId ?? '');
      const possible =
        deviceId === undefined
          ? directAims(job.message, [job.to![Number(part)]!])
          : device === undefined
            ? []
            : aimsAt(job.message, this.#expression, device);
      const aim = possible.find((each) => each.platform === platform && (deviceId === undefined || each.part === part));
      if (aim === undefined) return;
      aims.push(aim);
      places.push(i);
    });
    return { aims, places };
  }

  #judgeRetries(
    due: readonly DueFailure[],
    { places }: { readonly places: readonly number[] },
    pushed: PushedChunk,
  ): RetriedFailure[] {
    const now = this.#deps.now();
    const failed = new Map(pushed.failed.map((each) => [places[each.index]!, each]));
    const tried = new Set(places);
    return due.map(({ chunk, place, tries, platform }, i) => {
      const failure = failed.get(i);
      const known = { chunk, place, tries: tries + (failure?.innocent ? 0 : 1) };
      if (failure?.retryInMs !== undefined && known.tries < mostTries)
        return { ...known, outcome: failure.outcome, cause: failure.cause, dueAt: dueAtOf(failure, known.tries, now) };
      const outcome = failure?.outcome ?? (tried.has(i) ? 'Success' : 'Dropped');
      addCount(this.#outcomes, platform, outcome);
      const cause = failure?.cause ?? (tried.has(i) ? '' : 'device_changed');
      return { ...known, outcome, cause, dueAt: undefined };
    });
  }

  /** Repeats `work` through an outage of the database: what was pushed must be written down, or it is pushed again. */
  async #durably<T>(work: () => Promise<T>): Promise<T> {
    const end = performance.now() + outageMs;
    for (;;) {
      try {
        return await work();
      } catch (error) {
        const state = sqlState(error);
        const passes = state === undefined ? !(error instanceof TypeError) : /^(08|40|53|57)/.test(state);
        if (!passes || performance.now() > end) throw error;
        await pause(250);
      }
    }
  }
}

const noPage = PushPage.empty('', true);
