// Carries out one leg of a send: reads a page of devices, pushes it as a chunk, settles it, and so on, with the next page
// read and rendered meanwhile. Two chunks are under way at most: when this process dies, their devices are what is pushed
// again, a thousand at most. What may be tried again is written down with the chunk and tried between later ones, so
// that a device in trouble holds up nobody.

import { setTimeout as pause } from 'node:timers/promises';
import { crc32 } from 'node:zlib';
import { sqlState } from '../kit/database.ts';
import { type Aim, Aimer, aimsAt, type Message } from './aims.ts';
import type { Platform } from './drivers/driver.ts';
import { outcomeCode } from './fan-out.ts';
import { pushPlatforms } from './lanes.ts';
import {
  type DueFailure,
  endLeg,
  type FailureRow,
  findDueFailures,
  type Leg,
  leaseMs,
  nextRetry,
  type RetriedFailure,
  releaseLeg,
  renewLeg,
  settleChunk,
  settleRetried,
  splitLeg,
} from './legs.ts';
import { type Failed, type PushDeps, type PushedChunk, pushChunk } from './push.ts';
import { favoursTags, findPushDevices, type PushPage, selectPushPage } from './selection.ts';
import { addCount, type OutcomeCounts } from './sends.ts';
import { noTagLimits, parseTagExpression, type TagExpression } from './tags.ts';

/** Devices per chunk. Two are under way, so that the connection has work while one is being settled. */
const chunkSize = 500;
/** A page is cut down when devices are large: memory is bounded by bytes, not by their number. */
const mostPageBytes = 1_000_000;
const mostTries = 5;
/** A lane that takes nothing for so long loses the send; as with Azure. */
const giveUpMs = 30 * 60_000;
/** So long a run waits for its own next try; for longer it gives the leg back. */
const shortWaitMs = 3_000;
const retriesAtOnce = 1_000;
/** One refusal of a message looks like another: these are kept as examples, the rest as bytes. */
const refusedPerChunk = 20;
/** How long an outage of the database may last before the run is given up; what is pushed is then pushed again. */
const outageMs = 60_000;

export type RunOptions = {
  readonly signal: AbortSignal;
  /** Asked before each chunk but the first: false gives the leg back, because others wait. */
  readonly mayGoOn: () => boolean;
};

/** A page, ready to be pushed. */
type Chunk = { readonly aims: readonly Aim[]; readonly reached: string; readonly walked: boolean };

export class LegRun {
  readonly #deps: PushDeps;
  readonly #leg: Leg;
  readonly #options: RunOptions;
  readonly #outcomes: OutcomeCounts;
  readonly #expression: TagExpression | undefined;
  /** Known once the first page has been read. */
  #byTags: boolean | undefined;
  #chunks: number;
  #reached: string;
  #walked: boolean;
  #retryAt: Date | undefined;
  #downUntil: Date | undefined;
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

  async #waitForLane(until: Date, now: Date): Promise<false> {
    if (now.getTime() - this.#leg.startedAt.getTime() < giveUpMs) return this.#giveBack(until);
    await endLeg(this.#deps.database, this.#leg, now, true);
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

  /** Chunk after chunk, until there are no more or something else has to be done first. */
  async #walk(): Promise<boolean> {
    const first = await this.#first();
    if (first === 'split') return false;
    let before: Promise<boolean> | undefined;
    let goOn = true;
    try {
      for await (const chunk of this.#chunksOf(first)) {
        const pushed = this.#push(chunk.aims);
        // Whoever waits for it may fail first.
        pushed.catch(() => {});
        goOn = before === undefined || (await before);
        before = goOn ? pushed.then((result) => this.#settle(chunk, result)) : pushed.then(() => false);
        before.catch(() => {});
        if (!goOn || chunk.walked || !this.#mayWalk()) break;
      }
      return (
        (await (before ?? true)) &&
        goOn &&
        (this.#walked || this.#options.mayGoOn() || this.#giveBack(this.#deps.now()))
      );
    } finally {
      // However this ends, nothing may be on its way when the leg changes hands.
      await before?.catch(() => {});
    }
  }

  #mayWalk(): boolean {
    const { signal, mayGoOn } = this.#options;
    if (signal.aborted || this.#lost || this.#downUntil !== undefined) return false;
    return mayGoOn() && (this.#retryAt === undefined || this.#retryAt > this.#deps.now());
  }

  /** The first page of all platforms tells whether there are so many devices that each platform should go its own pace. */
  async #first(): Promise<PushPage | 'split'> {
    const { database, now } = this.#deps;
    const page = await this.#durably(() => this.#readPage(this.#reached, chunkSize));
    if (this.#leg.platform !== '*' || page.devices.length < chunkSize) return page;
    await splitLeg(database, this.#leg, pushPlatforms, now());
    return 'split';
  }

  /** The next one is being read and rendered while the caller works on this one. */
  async *#chunksOf(first: PushPage): AsyncGenerator<Chunk> {
    const { job } = this.#leg;
    if (job.to !== undefined) return yield* directChunks(job.message, job.to, Number(this.#reached));
    const aimer = new Aimer(job.message, this.#expression);
    let limit = chunkSize;
    const read = async (after: string, known?: PushPage): Promise<Chunk> => {
      const asked = limit;
      const page = known ?? (await this.#durably(() => this.#readPage(after, asked)));
      limit = Math.max(1, Math.min(chunkSize, Math.floor((asked * mostPageBytes) / Math.max(page.bytes, 1))));
      const aims: Aim[] = [];
      for (const device of page.devices) aimer.take(device, aims);
      return { aims, reached: page.last ?? after, walked: page.devices.length < asked };
    };
    let next = read(this.#reached, first);
    for (;;) {
      const chunk = await next;
      if (!chunk.walked) next = read(chunk.reached);
      // Whoever stops early must not leave a rejection behind.
      next.catch(() => {});
      yield chunk;
      if (chunk.walked) return;
    }
  }

  async #readPage(after: string, limit: number): Promise<PushPage> {
    if (this.#leg.job.to !== undefined) return noPage;
    const { hub, platform } = this.#leg;
    const { database, now } = this.#deps;
    const selection = { hub, platform: platform === '*' ? undefined : platform, expression: this.#expression };
    this.#byTags ??= await favoursTags(database, selection);
    return selectPushPage(database, selection, { after, limit, byTags: this.#byTags }, now());
  }

  #push(aims: readonly Aim[]): Promise<PushedChunk> {
    return pushChunk(this.#deps, this.#leg.hub, aims, { signal: this.#options.signal, collapseId: this.#leg.send });
  }

  /** False when the leg is another's by now. */
  async #settle(chunk: Chunk, pushed: PushedChunk): Promise<boolean> {
    const now = this.#deps.now();
    const { aims, reached, walked } = chunk;
    const { job } = this.#leg;
    const base = Number(this.#reached);
    const failures = failuresOf(aims, pushed.failed, now, job.to && base);
    this.#count(aims, pushed);
    const settled = {
      chunk: this.#chunks,
      reached,
      walked,
      outcomes: this.#outcomes,
      codes: pushed.codes,
      devices: marksOf(aims),
      failures,
    };
    const kept = await this.#durably(() => settleChunk(this.#deps.database, this.#leg, settled, now));
    if (!kept) this.#lost = true;
    this.#chunks += 1;
    this.#reached = reached;
    this.#walked = walked;
    for (const { dueAt } of failures) this.#due(dueAt);
    if (pushed.down) this.#downUntil = new Date(now.getTime() + pushed.down.waitMs);
    return kept;
  }

  #due(at: Date | undefined): void {
    if (at !== undefined && (this.#retryAt === undefined || at < this.#retryAt)) this.#retryAt = at;
  }

  #count(aims: readonly Aim[], { codes, failed }: PushedChunk): void {
    const delivered = new Map<Platform, number>();
    aims.forEach(({ platform }, i) => {
      if (codes[i] === outcomeCode.delivered) delivered.set(platform, (delivered.get(platform) ?? 0) + 1);
      else if (codes[i] === outcomeCode.skipped) addCount(this.#outcomes, platform, 'Skipped');
    });
    for (const [platform, count] of delivered) addCount(this.#outcomes, platform, 'Success', count);
    for (const { index, outcome, retryInMs } of failed)
      if (retryInMs === undefined) addCount(this.#outcomes, aims[index]!.platform, outcome);
  }

  /** Tries what is due again. */
  async #retry(): Promise<boolean> {
    const { database, now } = this.#deps;
    const due = await this.#durably(() => findDueFailures(database, this.#leg, now(), retriesAtOnce));
    if (due.length > 0) {
      const found = await this.#durably(() => this.#aimsOf(due));
      const pushed = await this.#push(found.aims);
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
      const aim = possible.find(
        (each) => each.platform === platform && (deviceId === undefined || (each.part ?? '') === part),
      );
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

const noPage: PushPage = { devices: [], last: undefined, bytes: 0 };

/** Straight to addresses, whether they are known or not. */
export function directAims(message: Message, addresses: readonly Aim['address'][]): Aim[] {
  if (message.kind === 'template') return [];
  const { platform, body: payload, headers } = message;
  return addresses.map((address) => {
    const handle = typeof address === 'string' ? address : address.endpoint;
    return { platform, address, handle, payload, headers, deviceId: undefined };
  });
}

function* directChunks(message: Message, to: readonly Aim['address'][], from: number): Generator<Chunk> {
  for (let at = from; ; at += chunkSize) {
    const addresses = to.slice(at, at + chunkSize);
    const walked = at + chunkSize >= to.length;
    yield { aims: directAims(message, addresses), reached: String(at + addresses.length), walked };
    if (walked) return;
  }
}

function failuresOf(
  aims: readonly Aim[],
  failed: readonly Failed[],
  now: Date,
  base: number | undefined,
): FailureRow[] {
  let refused = 0;
  const rows: FailureRow[] = [];
  for (const failure of failed) {
    const { index, outcome, cause, retryInMs } = failure;
    const { platform, deviceId, part = '' } = aims[index]!;
    if (retryInMs === undefined && !prunes.has(outcome) && ++refused > refusedPerChunk) continue;
    rows.push({
      place: index,
      platform,
      deviceId,
      part: base === undefined ? part : String(base + index),
      outcome,
      cause,
      dueAt: dueAtOf(failure, 1, now),
    });
  }
  return rows;
}

/** Outcomes that end a device. */
const prunes: ReadonlySet<string> = new Set(['ExpiredChannel', 'BadChannel', 'WrongToken']);

function dueAtOf({ retryInMs, innocent }: Failed, tries: number, now: Date): Date | undefined {
  if (retryInMs === undefined) return undefined;
  return new Date(now.getTime() + retryInMs * (innocent ? 1 : 2 ** (tries - 1)));
}

/** Four bytes per push that tell its device, if one asks for it. */
export function deviceMark(id: string): number {
  return crc32(id);
}

function marksOf(aims: readonly Aim[]): Buffer {
  const marks = Buffer.allocUnsafe(aims.length * 4);
  aims.forEach(({ deviceId, handle }, i) => {
    marks.writeUInt32BE(deviceMark(deviceId ?? handle), i * 4);
  });
  return marks;
}
