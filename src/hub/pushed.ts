// What pushes came to, counted: a signal per call of a lane, and the tally that this process keeps of each lane for those who
// look. It costs no table scan however often somebody looks.

import type { Signal } from '../kit/signals.ts';
import type { Platform } from './drivers/driver.ts';
import { type ChunkOutcome, outcomeCode } from './fan-out.ts';
import { type OutcomeName, outcomeName } from './outcome-name.ts';

/** `retried`: to be tried again. `pruned`: the device turned out dead. `refused`: nothing will come of it. */
export type PushCounts = {
  readonly delivered: number;
  readonly retried: number;
  readonly pruned: number;
  readonly refused: number;
};
export type PushFault = { readonly outcome: OutcomeName; readonly cause: string };

/** `fault`: the last of those that did not arrive. */
export type PushedSignal = PushCounts & {
  readonly name: 'push.pushed';
  readonly hub: string;
  readonly platform: Platform;
  readonly fault: PushFault | undefined;
};

/** `failingSince`: since then the service took nothing, because it could not be reached or failed itself; else undefined. */
export type LaneTally = {
  readonly total: PushCounts;
  readonly lastHour: PushCounts;
  readonly lastFault: (PushFault & { readonly at: Date }) | undefined;
  readonly failingSince: Date | undefined;
};

export function pushedOf(hub: string, platform: Platform, { codes, exceptions, down }: ChunkOutcome): PushedSignal {
  const counts = new Array<number>(Object.keys(outcomeCode).length).fill(0);
  for (const code of codes) counts[code]! += 1;
  const last = down ?? exceptions.at(-1)?.outcome;
  return {
    name: 'push.pushed',
    hub,
    platform,
    delivered: counts[outcomeCode.delivered]!,
    retried: counts[outcomeCode.retry]!,
    pruned: counts[outcomeCode.gone]!,
    refused: counts[outcomeCode.refused]!,
    fault: last && 'cause' in last ? { outcome: outcomeName(platform, last), cause: last.cause } : undefined,
  };
}

const away: ReadonlySet<OutcomeName> = new Set(['PnsServerError', 'PnsUnavailable', 'PnsUnreachable']);
const minuteMs = 60_000;
const minutes = 60;
const none: PushCounts = { delivered: 0, retried: 0, pruned: 0, refused: 0 };
const untold: LaneTally = { total: none, lastHour: none, lastFault: undefined, failingSince: undefined };

/** Signals after which it is not true any more that nothing gets through. */
type Heard = Signal & { readonly hub: string; readonly platform?: Platform; readonly platforms?: readonly Platform[] };
const heard: ReadonlySet<string> = new Set(['push.lane-stopped', 'push.lane-paused', 'hub.lanes-renewed']);

/** Register `listener` with the signals. */
export class PushTally {
  readonly #now: () => Date;
  readonly #lanes = new Map<string, Tally>();

  constructor(now: () => Date) {
    this.#now = now;
  }

  readonly listener = (signal: Signal): void => {
    // The names decide what the signals are.
    if (signal.name === 'push.pushed') this.#add(signal as PushedSignal);
    else if (heard.has(signal.name)) this.#hear(signal as Heard);
  };

  of(hub: string, platform: Platform): LaneTally {
    return this.#lanes.get(`${hub}/${platform}`)?.read(this.#now()) ?? untold;
  }

  #add(pushed: PushedSignal): void {
    const name = `${pushed.hub}/${pushed.platform}`;
    const tally = this.#lanes.get(name) ?? new Tally();
    this.#lanes.set(name, tally);
    tally.add(pushed, this.#now());
  }

  /** A service that says something is there; and what was in the way of former credentials is over. */
  #hear({ hub, platform, platforms = platform ? [platform] : [] }: Heard): void {
    for (const each of platforms) this.#lanes.get(`${hub}/${each}`)?.forgive();
  }
}

class Tally {
  #total = none;
  /** By the minute; the oldest first. */
  readonly #minutes: { readonly minute: number; counts: PushCounts }[] = [];
  #lastFault: LaneTally['lastFault'];
  #failingSince: Date | undefined;

  add(pushed: PushedSignal, now: Date): void {
    this.#total = sum(this.#total, pushed);
    const minute = Math.floor(now.getTime() / minuteMs);
    const newest = this.#minutes.at(-1);
    if (newest?.minute === minute) newest.counts = sum(newest.counts, pushed);
    else this.#minutes.push({ minute, counts: sum(none, pushed) });
    if (this.#minutes.length > minutes) this.#minutes.shift();
    if (pushed.fault) this.#lastFault = { ...pushed.fault, at: now };
    if (pushed.delivered + pushed.pruned + pushed.refused > 0) this.#failingSince = undefined;
    else if (pushed.fault && away.has(pushed.fault.outcome)) this.#failingSince ??= now;
  }

  forgive(): void {
    this.#failingSince = undefined;
  }

  read(now: Date): LaneTally {
    const since = Math.floor(now.getTime() / minuteMs) - minutes;
    const lastHour = this.#minutes
      .filter(({ minute }) => minute > since)
      .reduce((all, { counts }) => sum(all, counts), none);
    return { total: this.#total, lastHour, lastFault: this.#lastFault, failingSince: this.#failingSince };
  }
}

function sum(a: PushCounts, b: PushCounts): PushCounts {
  return {
    delivered: a.delivered + b.delivered,
    retried: a.retried + b.retried,
    pruned: a.pruned + b.pruned,
    refused: a.refused + b.refused,
  };
}
