// Pushes aims through the hub's lanes, prunes the devices that turn out dead, and says of each aim what it came to.

import { setTimeout as pause } from 'node:timers/promises';
import { type Database, sqlState } from '../kit/database.ts';
import { Refusal } from '../kit/refusal.ts';
import { type Aim, AimGroup, AimList } from './aim-list.ts';
import { type DeadDevice, pruneDevices } from './dead-devices.ts';
import type { Platform, PushOutcome } from './drivers/driver.ts';
import { type ChunkOutcome, outcomeCode } from './fan-out.ts';
import type { HubLanes, Lane } from './lanes.ts';
import { type OutcomeName, outcomeName } from './outcome-name.ts';

export type PushDeps = { readonly database: Database; readonly lanes: HubLanes; readonly now: () => Date };
export type Pushed = { readonly aim: Aim; readonly outcome: OutcomeName | 'Skipped' };

/** What did not arrive, by the aim's index. With `retryInMs` the push may be tried again. */
export type Failed = {
  readonly index: number;
  readonly outcome: OutcomeName;
  readonly cause: string;
  readonly retryInMs: number | undefined;
  /** The push was not let through, or its lane was down: not the device's doing. */
  readonly innocent: boolean;
};

export type PushedChunk = {
  /** One outcomeCode per aim, in their order. */
  readonly codes: Uint8Array;
  readonly failed: readonly Failed[];
  /** A lane takes nothing for so long; with `alarm` until a human has acted. */
  readonly down: { readonly cause: string; readonly alarm: boolean; readonly waitMs: number } | undefined;
};

export type PushOptions = {
  readonly signal?: AbortSignal;
  /** Makes a repeated push replace the first one on the device, where the platform can: then one whose answer was lost may be repeated. */
  readonly collapseId?: string | undefined;
};

const mostTries = 5;
const longestPauseMs = 5_000;
const firstPauseMs = 400;
const downPauseMs = 10_000;

/** One outcome per aim, in their order; what may be tried again is tried for some seconds. For tests of single devices. */
export async function pushAims(
  deps: PushDeps,
  hub: string,
  aims: readonly Aim[],
  options: PushOptions = {},
): Promise<Pushed[]> {
  const outcomes: Pushed['outcome'][] = new Array(aims.length).fill('Success');
  let left = aims.map((_, index) => index);
  for (let tries = 1; left.length > 0; tries += 1) {
    const current = left;
    const { codes, failed } = await pushChunk(deps, hub, AimList.of(current.map((index) => aims[index]!)), options);
    current.forEach((index, i) => {
      outcomes[index] = codes[i] === outcomeCode.skipped ? 'Skipped' : 'Success';
    });
    for (const { index, outcome } of failed) outcomes[current[index]!] = outcome;
    const again = failed.filter(({ retryInMs }) => retryInMs !== undefined && retryInMs <= longestPauseMs);
    if (tries === mostTries || options.signal?.aborted) break;
    left = again.map(({ index }) => current[index]!);
    const waitMs = Math.max(0, ...again.map(({ retryInMs }) => retryInMs!)) * 2 ** (tries - 1);
    if (left.length > 0) await pause(Math.min(waitMs, longestPauseMs), undefined, options).catch(() => {});
  }
  return aims.map((aim, index) => ({ aim, outcome: outcomes[index]! }));
}

/** Pushes each aim once; an address that comes twice with the same payload is pushed to once. */
export async function pushChunk(
  deps: PushDeps,
  hub: string,
  aims: AimList,
  options: PushOptions = {},
): Promise<PushedChunk> {
  const lanes = await deps.lanes.of(hub);
  const gathered = new Gathered(aims);
  const groups = groupsOf(aims, gathered.codes);
  await Promise.all(
    groups.map(async (group) => {
      const lane = lanes.get(group.kind.platform);
      if (lane === undefined) gathered.refuseAll(group, 'InvalidCredentials', 'no_credentials');
      else gathered.take(group, lane.platform, await pushGroup(lane, group, options), options);
    }),
  );
  // What was pushed must be told even in an outage of the database; a device that is dead is found dead again.
  await pruneDevices(deps.database, gathered.deadOf(hub), deps.now()).catch((error: unknown) => {
    if (!/^(08|40|53|57)/.test(sqlState(error) ?? '08')) throw error;
  });
  return gathered;
}

/** Marks what is skipped in `codes` and groups the rest by what shares a plan of the driver. */
function groupsOf(aims: AimList, codes: Uint8Array): AimGroup[] {
  const places: number[][] = aims.kinds.map(() => []);
  const seen = new Seen(aims);
  for (let index = 0; index < aims.length; index += 1)
    if (seen.has(index)) codes[index] = outcomeCode.skipped;
    else places[aims.placeOfKind(index)]!.push(index);
  return aims.kinds.map((kind, i) => new AimGroup(aims, kind, places[i]!)).filter(({ length }) => length > 0);
}

/** Which address gets which payload already: a table with open addressing, for it is asked about every device. */
class Seen {
  readonly #aims: AimList;
  /** An index of an aim, counted from 1; 0: free. */
  readonly #table: Uint32Array;

  constructor(aims: AimList) {
    this.#aims = aims;
    this.#table = new Uint32Array(2 ** Math.ceil(Math.log2(aims.length * 2 + 1)));
  }

  /** Also remembers it. */
  has(index: number): boolean {
    const mask = this.#table.length - 1;
    for (let at = this.#aims.hash(index) & mask; ; at = (at + 1) & mask) {
      const other = this.#table[at]!;
      if (other === 0) {
        this.#table[at] = index + 1;
        return false;
      }
      if (this.#aims.isSame(index, other - 1)) return true;
    }
  }
}

function pushGroup(lane: Lane, group: AimGroup, options: PushOptions): Promise<ChunkOutcome | PushOutcome> {
  const { headers, part } = group.kind;
  const { collapseId, signal } = options;
  const id = collapseId === undefined || part === '' ? collapseId : `${collapseId}.${part}`;
  return lane.send(group, { headers, collapseId: id }, signal ? { signal } : {}).catch(refusedAll);
}

/** Options that no device can take, such as a Windows push without its type. */
function refusedAll(error: unknown): PushOutcome {
  if (error instanceof Refusal) return { kind: 'refused', cause: 'options', detail: error.message };
  throw error;
}

class Gathered implements PushedChunk {
  readonly codes: Uint8Array;
  readonly failed: Failed[] = [];
  down: PushedChunk['down'];
  readonly #aims: AimList;
  readonly #dead: {
    readonly id: string;
    readonly handle: string;
    readonly since: Date | undefined;
    readonly cause: OutcomeName;
  }[] = [];

  constructor(aims: AimList) {
    this.#aims = aims;
    this.codes = new Uint8Array(aims.length);
  }

  take(group: AimGroup, platform: Platform, result: ChunkOutcome | PushOutcome, options: PushOptions): void {
    if ('kind' in result) {
      this.refuseAll(group, outcomeName(platform, result), 'cause' in result ? result.cause : '');
      return;
    }
    const { places } = group;
    for (let i = 0; i < places.length; i += 1) {
      const code = result.codes[i]!;
      this.codes[places[i]!] = code;
      if (code === outcomeCode.waiting) this.#fail(places[i]!, platform, result.down ?? stopped, options);
    }
    for (const { index, outcome } of result.exceptions) this.#fail(places[index]!, platform, outcome, options);
    const { down } = result;
    if (down) this.down ??= { cause: down.cause, alarm: down.alarm, waitMs: down.retryAfterMs ?? downPauseMs };
  }

  refuseAll({ places }: AimGroup, outcome: OutcomeName, cause: string): void {
    for (const index of places) {
      this.codes[index] = outcomeCode.refused;
      this.failed.push({ index, outcome, cause, retryInMs: undefined, innocent: false });
    }
  }

  deadOf(hub: string): DeadDevice[] {
    return this.#dead.map((dead) => ({ hub, ...dead }));
  }

  #fail(index: number, platform: Platform, outcome: PushOutcome, options: PushOptions): void {
    if (outcome.kind === 'delivered') return;
    const id = outcome.kind === 'gone' ? this.#aims.deviceId(index) : undefined;
    if (outcome.kind === 'gone' && id !== undefined)
      this.#dead.push({
        id,
        handle: this.#aims.handle(index),
        since: outcome.since,
        cause: outcomeName(platform, outcome),
      });
    const retryInMs = retryIn(outcome, options.collapseId !== undefined);
    if (retryInMs !== undefined) this.codes[index] = outcomeCode.retry;
    const innocent = outcome.kind === 'down';
    this.failed.push({ index, outcome: outcomeName(platform, outcome), cause: outcome.cause, retryInMs, innocent });
  }
}

const stopped = { kind: 'down', cause: 'stopping', alarm: false, retryAfterMs: 0 } as const;

/** What may have arrived is sent again only if it then replaces itself on the device. */
function retryIn(outcome: PushOutcome, collapses: boolean): number | undefined {
  if (outcome.kind === 'down') return outcome.retryAfterMs ?? downPauseMs;
  if (outcome.kind !== 'retry' || (outcome.uncertain === true && !collapses)) return undefined;
  return Math.max(firstPauseMs, outcome.retryAfterMs ?? 0);
}
