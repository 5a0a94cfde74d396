// Pushes a page of aims through the hub's lanes, tries again what may be tried again, prunes what is dead, and says of each
// what it came to.

import { setTimeout as pause } from 'node:timers/promises';
import type { Database } from '../kit/database.ts';
import { Refusal } from '../kit/refusal.ts';
import type { Aim } from './aims.ts';
import { pruneDevices } from './dead-devices.ts';
import type { PushOutcome } from './drivers/driver.ts';
import type { Target } from './fan-out.ts';
import type { PushChannel } from './installation.ts';
import type { HubLanes, Lane } from './lanes.ts';
import { type OutcomeName, outcomeName } from './outcome-name.ts';

export type PushDeps = { readonly database: Database; readonly lanes: HubLanes; readonly now: () => Date };
export type Pushed = { readonly aim: Aim; readonly outcome: OutcomeName | 'Skipped' };

const mostTries = 5;
/** A page must be done well within the lease of its send. */
const longestPauseMs = 5_000;

/** One outcome per aim, in their order. An address that comes twice is pushed to once. */
export async function pushAims(
  deps: PushDeps,
  hub: string,
  aims: readonly Aim[],
  options: { readonly signal?: AbortSignal } = {},
): Promise<Pushed[]> {
  const lanes = await deps.lanes.of(hub);
  const outcomes = new Map<Aim, OutcomeName | 'Skipped'>();
  const seen = new Set<string>();
  const fresh = aims.filter((aim) => {
    const key = JSON.stringify([aim.platform, aim.handle, aim.payload]);
    if (seen.has(key)) outcomes.set(aim, 'Skipped');
    return seen.size !== seen.add(key).size;
  });
  const groups = Map.groupBy(fresh, ({ platform, headers }) => JSON.stringify([platform, headers]));
  await Promise.all(
    [...groups.values()].map(async (group) => {
      const lane = lanes.get(group[0]!.platform);
      if (lane) await pushGroup(deps, hub, lane, group, outcomes, options);
      else for (const aim of group) outcomes.set(aim, 'InvalidCredentials');
    }),
  );
  return aims.map((aim) => ({ aim, outcome: outcomes.get(aim)! }));
}

async function pushGroup(
  deps: PushDeps,
  hub: string,
  lane: Lane,
  group: readonly Aim[],
  outcomes: Map<Aim, OutcomeName | 'Skipped'>,
  { signal }: { readonly signal?: AbortSignal },
): Promise<void> {
  const dead: { aim: Aim; since: Date | undefined }[] = [];
  let left = group;
  for (let tries = 1; left.length > 0; tries += 1) {
    const results = await pushOnce(lane, left, signal);
    const again = left.filter((_, i) => mayRepeat(results[i]!));
    left.forEach((aim, i) => {
      const outcome = results[i]!;
      outcomes.set(aim, outcomeName(lane.platform, outcome));
      if (outcome.kind === 'gone') dead.push({ aim, since: outcome.since });
    });
    if (tries === mostTries || again.length === 0 || signal?.aborted) break;
    await pause(pauseMs(results, tries), undefined, { signal }).catch(() => {});
    left = again;
  }
  const known = dead.flatMap(({ aim, since }) =>
    aim.deviceId === undefined ? [] : [{ hub, id: aim.deviceId, handle: aim.handle, since }],
  );
  await pruneDevices(deps.database, known, deps.now());
}

async function pushOnce(lane: Lane, aims: readonly Aim[], signal: AbortSignal | undefined): Promise<PushOutcome[]> {
  const targets: Target<PushChannel>[] = aims.map(({ address, payload }) => ({ address, payload }));
  const sent = lane.send(targets, { headers: aims[0]!.headers }, signal ? { signal } : {});
  const chunk = await sent.catch(refusedAll);
  if ('kind' in chunk) return aims.map(() => chunk);
  const exceptions = new Map(chunk.exceptions.map(({ index, outcome }) => [index, outcome]));
  const stopped: PushOutcome = { kind: 'retry', cause: 'unprocessed:stopping', retryAfterMs: undefined };
  return aims.map((_, i) => {
    if (chunk.codes[i] === 0) return chunk.down ?? stopped;
    return exceptions.get(i) ?? { kind: 'delivered', providerId: undefined };
  });
}

/** Options that no device can take, such as a Windows push without its type. */
function refusedAll(error: unknown): PushOutcome {
  if (error instanceof Refusal) return { kind: 'refused', cause: 'options', detail: error.message };
  throw error;
}

/** What may have arrived is not sent again: a send is at most once per device, as the vendor's is. */
function mayRepeat(outcome: PushOutcome): boolean {
  if (outcome.kind === 'down') return !outcome.alarm;
  return outcome.kind === 'retry' && outcome.uncertain !== true;
}

function pauseMs(results: readonly PushOutcome[], tries: number): number {
  const asked = results.map((each) => ('retryAfterMs' in each ? (each.retryAfterMs ?? 0) : 0));
  return Math.min(Math.max(200 * 2 ** tries, ...asked), longestPauseMs);
}
