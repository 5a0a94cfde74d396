// Pushes aims through the hub's lanes, prunes the devices that turn out dead, and says of each aim what it came to.

import { setTimeout as pause } from 'node:timers/promises';
import { type Database, sqlState } from '../kit/database.ts';
import { Refusal } from '../kit/refusal.ts';
import type { Aim } from './aims.ts';
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
    const { codes, failed } = await pushChunk(
      deps,
      hub,
      current.map((index) => aims[index]!),
      options,
    );
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
  aims: readonly Aim[],
  options: PushOptions = {},
): Promise<PushedChunk> {
  const lanes = await deps.lanes.of(hub);
  const gathered = new Gathered(aims);
  const groups = groupsOf(aims, gathered.codes);
  await Promise.all(
    groups.map(async (group) => {
      const lane = lanes.get(group.platform);
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

/** Aims that share a plan of the driver, and where they stand in the chunk. */
type Group = {
  readonly platform: Platform;
  readonly headers: Aim['headers'];
  readonly part: string;
  readonly aims: Aim[];
  readonly places: number[];
};

/** Marks what is skipped in `codes` and groups the rest. */
function groupsOf(aims: readonly Aim[], codes: Uint8Array): Group[] {
  const groups: Group[] = [];
  const seen = new Map<string, string>();
  /** Addresses that come with several payloads: templates of one device, mostly. */
  const more = new Map<string, Set<string>>();
  let group: Group | undefined;
  for (let place = 0; place < aims.length; place += 1) {
    const aim = aims[place]!;
    const payload = seen.get(aim.handle);
    if (payload === undefined) seen.set(aim.handle, aim.payload);
    else if (payload === aim.payload || more.get(aim.handle)?.has(aim.payload)) {
      codes[place] = outcomeCode.skipped;
      continue;
    } else more.set(aim.handle, (more.get(aim.handle) ?? new Set()).add(aim.payload));
    if (group === undefined || !fits(group, aim)) group = groups.find((each) => fits(each, aim));
    if (group === undefined) {
      group = { platform: aim.platform, headers: aim.headers, part: aim.part, aims: [], places: [] };
      groups.push(group);
    }
    group.aims.push(aim);
    group.places.push(place);
  }
  return groups;
}

function fits(group: Group, { platform, headers, part }: Aim): boolean {
  return group.platform === platform && group.headers === headers && group.part === part;
}

function pushGroup(
  lane: Lane,
  { aims, headers, part }: Group,
  options: PushOptions,
): Promise<ChunkOutcome | PushOutcome> {
  const { collapseId, signal } = options;
  const id = collapseId === undefined || part === '' ? collapseId : `${collapseId}.${part}`;
  return lane.send(aims, { headers, collapseId: id }, signal ? { signal } : {}).catch(refusedAll);
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
  readonly #aims: readonly Aim[];
  readonly #dead: { readonly aim: Aim; readonly since: Date | undefined; readonly cause: OutcomeName }[] = [];

  constructor(aims: readonly Aim[]) {
    this.#aims = aims;
    this.codes = new Uint8Array(aims.length);
  }

  take(group: Group, platform: Platform, result: ChunkOutcome | PushOutcome, options: PushOptions): void {
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

  refuseAll({ places }: Group, outcome: OutcomeName, cause: string): void {
    for (const index of places) {
      this.codes[index] = outcomeCode.refused;
      this.failed.push({ index, outcome, cause, retryInMs: undefined, innocent: false });
    }
  }

  deadOf(hub: string): DeadDevice[] {
    return this.#dead.map(({ aim, ...rest }) => ({ hub, id: aim.deviceId!, handle: aim.handle, ...rest }));
  }

  #fail(index: number, platform: Platform, outcome: PushOutcome, options: PushOptions): void {
    if (outcome.kind === 'delivered') return;
    const aim = this.#aims[index]!;
    if (outcome.kind === 'gone' && aim.deviceId !== undefined)
      this.#dead.push({ aim, since: outcome.since, cause: outcomeName(platform, outcome) });
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
