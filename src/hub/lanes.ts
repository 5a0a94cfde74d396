// The way from a hub to its push services: a driver per platform that it has credentials for. Drivers live long, because
// their connections and tokens do; where the hub's credentials change they are built anew and the old ones finish what
// they have.

import { availableParallelism } from 'node:os';
import { isDeepStrictEqual } from 'node:util';
import type { Database } from '../kit/database.ts';
import { Refusal } from '../kit/refusal.ts';
import { type BroadcastLane, broadcastLane } from './broadcast.ts';
import { ApnsDriver } from './drivers/apns.ts';
import { ApnsChannels } from './drivers/apns-channels.ts';
import type { Driver, LaneState, Platform, PushList, PushOptions, PushSignal } from './drivers/driver.ts';
import { FcmDriver } from './drivers/fcm.ts';
import { WebPushDriver } from './drivers/webpush.ts';
import { WnsDriver } from './drivers/wns.ts';
import { type ChunkOutcome, type FanOutOptions, fanOut } from './fan-out.ts';
import { findHub, type HubCredentials } from './hubs.ts';
import type { InstallationPlatform } from './installation.ts';
import { type PushedSignal, pushedOf } from './pushed.ts';

export type Lane = {
  readonly platform: Platform;
  /** Resolves when each push that left has its outcome. Throws Refusal('bad_request') for options that no device could take. */
  send(list: PushList, options: PushOptions, fanOutOptions?: FanOutOptions): Promise<ChunkOutcome>;
  /** Throws Refusal('bad_request') for options that no device could take. */
  check(options: PushOptions): void;
  /** Apple's alone. */
  readonly broadcast?: BroadcastLane;
  state(): LaneState;
  close(): Promise<void>;
};

export type Lanes = ReadonlyMap<Platform, Lane>;
/** `hub.lanes-renewed`: from now on newer credentials of these platforms are used. */
export type LaneSignal =
  | (PushSignal & { readonly hub: string })
  | PushedSignal
  | { readonly name: 'hub.lanes-renewed'; readonly hub: string; readonly platforms: readonly Platform[] };
export type LanesDeps = {
  readonly database: Database;
  readonly key: Buffer;
  readonly emit: (signal: LaneSignal) => void;
};

export const pushPlatforms: readonly Platform[] = ['apns', 'fcmv1', 'wns', 'browser'];
/** How long a change of credentials on another node may go unseen. */
export const lookAgainMs = 2_000;
const graceMs = 10_000;
/** Threads that encrypt Web Push in broadcasts: of each push they take three quarters of the work. */
const sealingThreads = Math.min(availableParallelism(), 8);

const required: Readonly<Record<Platform, readonly string[]>> = {
  apns: ['keyId', 'teamId', 'privateKey', 'bundleId', 'environment'],
  fcmv1: ['project_id', 'client_email', 'private_key'],
  wns: ['secret'],
  browser: ['publicKey', 'privateKey', 'subject'],
};

type Kept = { readonly credentials: HubCredentials; readonly lanes: Lanes };

export class HubLanes {
  readonly #deps: LanesDeps;
  readonly #kept = new Map<string, Kept>();
  readonly #looked = new Map<string, { readonly at: number; readonly lanes: Promise<Lanes> }>();
  readonly #closing = new Set<Promise<unknown>>();
  #stopping: Promise<void> | undefined;

  constructor(deps: LanesDeps) {
    this.#deps = deps;
  }

  /** Throws Refusal('not_found'). */
  of(hub: string): Promise<Lanes> {
    if (this.#stopping) return Promise.reject(new Refusal('stopping', 'The server is stopping.'));
    const looked = this.#looked.get(hub);
    if (looked !== undefined && performance.now() - looked.at < lookAgainMs) return looked.lanes;
    const lanes = this.#look(hub);
    this.#looked.set(hub, { at: performance.now(), lanes });
    lanes.catch(() => this.#looked.delete(hub));
    return lanes;
  }

  /** For who changed the hub on this node; the others see it within seconds. */
  changed(hub: string): void {
    this.#looked.delete(hub);
  }

  /** Whether the hub has other credentials by now than these lanes push with. */
  async areRenewed(hub: string, lanes: Lanes): Promise<boolean> {
    this.changed(hub);
    return (await this.of(hub)) !== lanes;
  }

  /** How the lane stands that pushes with these credentials; undefined when nothing was pushed with them. */
  state(hub: string, platform: Platform, credentials: HubCredentials[Platform]): LaneState | undefined {
    const kept = this.#kept.get(hub);
    return isDeepStrictEqual(kept?.credentials[platform], credentials) ? kept?.lanes.get(platform)?.state() : undefined;
  }

  /** Running pushes may finish for a moment. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #stop(): Promise<void> {
    await Promise.allSettled([...this.#looked.values()].map(({ lanes }) => lanes));
    for (const { lanes } of this.#kept.values()) this.#close(lanes);
    await Promise.allSettled(this.#closing);
  }

  async #look(name: string): Promise<Lanes> {
    const before = this.#kept.get(name);
    const hub = await findHub(this.#deps.database, this.#deps.key, name).catch((error: unknown) => {
      // An outage of the database: what is known goes on, or pushes that have left could not be settled after it.
      if (before === undefined || error instanceof Refusal) throw error;
      return 'away' as const;
    });
    if (hub === 'away') return before!.lanes;
    if (hub === undefined) throw new Refusal('not_found', `There is no hub "${name}".`);
    const kept = this.#kept.get(name);
    // Another look was quicker: what this one has read may be older.
    if (kept !== undefined && kept !== before) return kept.lanes;
    const { credentials } = hub;
    const stays = (platform: Platform) => isDeepStrictEqual(kept?.credentials[platform], credentials[platform]);
    const [same, renewed] = [pushPlatforms.filter(stays), pushPlatforms.filter((platform) => !stays(platform))];
    if (kept !== undefined && renewed.length === 0) return kept.lanes;
    const lanes = new Map([...pick(kept?.lanes, same), ...lanesOf(name, credentials, renewed, this.#deps.emit)]);
    this.#kept.set(name, { credentials, lanes });
    if (kept) {
      this.#close(pick(kept.lanes, renewed));
      this.#deps.emit({ name: 'hub.lanes-renewed', hub: name, platforms: renewed });
    }
    return lanes;
  }

  #close(lanes: Lanes): void {
    const closing = Promise.all([...lanes.values()].map((lane) => lane.close())).finally(() =>
      this.#closing.delete(closing),
    );
    this.#closing.add(closing);
  }
}

/** Throws Refusal or Error for credentials that cannot work. Nothing is connected. */
export function checkCredentials(credentials: HubCredentials): void {
  const unknown = Object.keys(credentials).find((name) => !(pushPlatforms as readonly string[]).includes(name));
  if (unknown !== undefined) throw new Refusal('invalid_setting', `there is no platform "${unknown}"`);
  for (const [platform, names] of Object.entries(required)) {
    const given = credentials[platform as Platform] as Readonly<Record<string, unknown>> | undefined; // a key of required
    const missing = given && names.filter((name) => typeof given[name] !== 'string' || given[name] === '');
    if (missing?.length) throw new Refusal('invalid_setting', `${platform} needs ${missing.join(', ')}`);
  }
  for (const lane of lanesOf('', credentials, pushPlatforms, () => {}).values()) void lane.close();
}

/** The platform by which a device is pushed to; undefined for those whose services are closed or that we do not speak. */
export function pushPlatform(platform: InstallationPlatform): Platform | undefined {
  return pushPlatforms.find((each) => each === platform);
}

function pick(lanes: Lanes | undefined, platforms: readonly Platform[]): Lanes {
  return new Map([...(lanes ?? [])].filter(([platform]) => platforms.includes(platform)));
}

function lanesOf(
  hub: string,
  credentials: HubCredentials,
  platforms: readonly Platform[],
  tell: LanesDeps['emit'],
): Lanes {
  const { apns, fcmv1, wns, browser }: HubCredentials = Object.fromEntries(
    platforms.map((platform) => [platform, credentials[platform]]),
  );
  const emit = (signal: PushSignal) => tell({ ...signal, hub });
  const lanes: Lane[] = [];
  const laneFor = <Plan>(driver: Driver<Plan>) =>
    laneOf(driver, (pushed) => tell(pushedOf(hub, driver.platform, pushed)));
  if (apns) {
    const { environment, endpoint } = apns;
    const driver = new ApnsDriver({ credentials: apns, environment, endpoint, emit });
    const channels = new ApnsChannels({ credentials: apns, environment, endpoint });
    lanes.push(withBroadcast(laneFor(driver), broadcastLane(driver, channels)));
  }
  if (fcmv1) lanes.push(laneFor(new FcmDriver({ credentials: fcmv1, endpoint: fcmv1.endpoint, emit })));
  if (wns) lanes.push(laneFor(new WnsDriver({ ...wns, credentials: wns, emit })));
  if (browser) {
    const { allowPrivate, ca, origins } = browser;
    const options = { credentials: browser, allowPrivate, ca, origins, threads: sealingThreads, emit };
    lanes.push(laneFor(new WebPushDriver(options)));
  }
  return new Map(lanes.map((lane) => [lane.platform, lane]));
}

function laneOf<Plan>(driver: Driver<Plan>, tell: (pushed: ChunkOutcome) => void): Lane {
  return {
    platform: driver.platform,
    send: async (list, options, fanOutOptions) => {
      const pushed = await fanOut(driver, driver.plan(options), list, fanOutOptions);
      tell(pushed);
      return pushed;
    },
    check: (options) => void driver.plan(options),
    state: () => driver.state(),
    close: () => driver.close(graceMs),
  };
}

function withBroadcast(lane: Lane, broadcast: BroadcastLane): Lane {
  const close = async () => void (await Promise.all([lane.close(), broadcast.close()]));
  return { ...lane, broadcast, close };
}
