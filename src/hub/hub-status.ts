// How the hubs do: how many devices each has on each platform, how the lanes to the push services stand, what they pushed
// lately. Lanes and pushes are those of this process, devices and sends those of the hub.

import { type Database, type Sql, statement } from '../kit/database.ts';
import { Refusal } from '../kit/refusal.ts';
import { type DeviceCount, type DeviceCounter, DeviceCounts } from './device-counts.ts';
import type { LaneState, Platform } from './drivers/driver.ts';
import { findHubRow, type HubCredentials, type HubRow, hubOf } from './hubs.ts';
import { laneAdvice } from './lane-advice.ts';
import { type HubLanes, pushPlatforms } from './lanes.ts';
import { type LaneTally, PushTally } from './pushed.ts';

/** `failing`: what is tried comes to nothing, though nobody refuses us. `unsupported`: a platform that is not pushed to. */
export type ShownState =
  | LaneState
  | { readonly kind: 'failing'; readonly cause: string; readonly since: Date }
  | { readonly kind: 'no_credentials' }
  | { readonly kind: 'unsupported' };

export type LaneStatus = DeviceCount &
  LaneTally & {
    readonly platform: string;
    readonly state: ShownState;
    /** What to do about it. */
    readonly advice: string | undefined;
  };

/** `underWay`: sends that are not done yet, the oldest since `oldest`. `problem`: why the hub cannot be used at all. */
export type HubStatus = {
  readonly name: string;
  readonly lanes: readonly LaneStatus[];
  readonly underWay: number;
  readonly oldest: Date | undefined;
  readonly problem: string | undefined;
};

export type HubWatchDeps = { readonly database: Database; readonly key: Buffer; readonly now: () => Date };

/** Hubs of which the figures for the dashboard tell; others have their own. */
const mostHubs = 50;
const mostSends = 10_000;
const noTally = {
  total: { delivered: 0, retried: 0, pruned: 0, refused: 0 },
  lastHour: { delivered: 0, retried: 0, pruned: 0, refused: 0 },
  lastFault: undefined,
  failingSince: undefined,
} satisfies LaneTally;

const listRows = statement('hub.status-list', 'select name, sealed from hub order by name limit $1');
const countSends = statement(
  'hub.status-sends',
  `select open.hub, count(distinct send)::int as count, min(started_at) as oldest
   from (select hub, send from hub_send_leg where ended_at is null limit ${mostSends}) as open
   join hub_send on hub_send.hub = open.hub and hub_send.id = open.send
   where state in ('Enqueued', 'Processing') group by open.hub`,
);

type SendsRow = { readonly hub: string; readonly count: number; readonly oldest: Date | null };

export class HubWatch {
  readonly #deps: HubWatchDeps;
  readonly #lanes: HubLanes;
  readonly #tally: PushTally;
  readonly #counts: DeviceCounts;

  constructor(deps: HubWatchDeps, lanes: HubLanes) {
    this.#deps = deps;
    this.#lanes = lanes;
    this.#tally = new PushTally(deps.now);
    this.#counts = new DeviceCounts(deps.database);
  }

  /** Register with the signals. */
  get listener(): PushTally['listener'] {
    return this.#tally.listener;
  }

  /** Of the first hubs by name; cheap enough to be asked each second. */
  async all(): Promise<HubStatus[]> {
    const { database } = this.#deps;
    const [rows, sends] = await Promise.all([database.query<HubRow>(listRows, [mostHubs]), sendsOf(database)]);
    return Promise.all(
      rows.map(async (row) => this.#status(row, sends.get(row.name), await this.#counts.peek(row.name))),
    );
  }

  /** Throws Refusal('not_found'). */
  async one(name: string): Promise<HubStatus> {
    const { database } = this.#deps;
    const row = await findHubRow(database, name);
    if (row === undefined) throw new Refusal('not_found', `There is no hub "${name}".`);
    const [sends, counts] = await Promise.all([sendsOf(database), this.#counts.read(name)]);
    return this.#status(row, sends.get(name), counts);
  }

  #status(row: HubRow, sends: SendsRow | undefined, counts: DeviceCounter): HubStatus {
    const { name } = row;
    const readable = this.#read(row);
    const credentials = 'problem' in readable ? {} : readable.credentials;
    const known = new Set<string>([...Object.keys(credentials), ...counts.platforms]);
    const others = [...known].filter((platform) => !isPushed(platform)).sort();
    const lanes = [...pushPlatforms.filter((platform) => known.has(platform)), ...others].map((platform) =>
      this.#lane(name, platform, counts.of(platform), credentials),
    );
    return {
      name,
      lanes,
      underWay: sends?.count ?? 0,
      oldest: sends?.oldest ?? undefined,
      problem: 'problem' in readable ? readable.problem : undefined,
    };
  }

  #lane(hub: string, platform: string, devices: DeviceCount, credentials: HubCredentials): LaneStatus {
    if (!isPushed(platform))
      return { platform, ...devices, ...noTally, state: { kind: 'unsupported' }, advice: undefined };
    const tally = this.#tally.of(hub, platform);
    const own = credentials[platform];
    const state = own
      ? shownState(this.#lanes.state(hub, platform, own), tally)
      : ({ kind: 'no_credentials' } as const);
    return { platform, ...devices, ...tally, state, advice: laneAdvice(hub, platform, state) };
  }

  /** One hub that cannot be read must not hide the others. */
  #read(row: HubRow): { readonly credentials: HubCredentials } | { readonly problem: string } {
    try {
      return { credentials: hubOf(row, this.#deps.key).credentials };
    } catch (error) {
      if (error instanceof Refusal) return { problem: error.message };
      throw error;
    }
  }
}

/** What the lane says of itself, unless what it was asked to do says more. */
function shownState(state: LaneState = { kind: 'untried' }, { failingSince, lastFault }: LaneTally): ShownState {
  if (state.kind === 'stopped' || state.kind === 'paused' || failingSince === undefined) return state;
  return { kind: 'failing', cause: lastFault?.cause ?? '', since: failingSince };
}

async function sendsOf(sql: Sql): Promise<ReadonlyMap<string, SendsRow>> {
  return new Map((await sql.query<SendsRow>(countSends)).map((row) => [row.hub, row]));
}

function isPushed(platform: string): platform is Platform {
  return (pushPlatforms as readonly string[]).includes(platform);
}
