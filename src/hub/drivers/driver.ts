// What the hub's fan-out knows of a push service: plan a notification once, push it to many devices, learn the outcome of each.
// Four drivers implement it (apns, fcm, wns, webpush); payloads are already rendered for the platform when they come here.

import { Refusal } from '../../kit/refusal.ts';
import type { Bytes } from '../bytes.ts';

/** The words of the hub's REST gateway for the platforms. */
export type Platform = 'apns' | 'fcmv1' | 'wns' | 'browser';

/** What is the same for all devices of one notification. Platform headers win over the neutral members. */
export type PushOptions = {
  readonly urgency?: 'low' | 'normal' | 'high' | undefined;
  /** How long the service may keep it for a device that is away; 0 = now or never. */
  readonly ttlSeconds?: number | undefined;
  /** A later push with the same id replaces the earlier one on the device. Any text; shortened for the service where it must be. */
  readonly collapseId?: string | undefined;
  /** As the platform names them, any case: `apns-*`, `X-WNS-*`, `TTL`, `Urgency`, `Topic`. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
};

/** What is pushed to whom, by index, as spans of bytes: of a broadcast no push is a text or an object of its own. */
export type PushList = {
  readonly length: number;
  /** Holds addresses and payloads. An address is text, of a browser its subscription as JSON; a payload the platform's own body. */
  readonly bytes: Bytes;
  addressStart(index: number): number;
  addressEnd(index: number): number;
  payloadStart(index: number): number;
  payloadEnd(index: number): number;
  /** Payloads of one form are JSON with the same members; undefined: who knows. */
  form(index: number): object | undefined;
  /** A UUID that makes the push recognisable in the service's answers (apns-id). */
  id(index: number): string | undefined;
  /** Instead of the plan's. */
  collapseId(index: number): string | undefined;
};

/** Pushes that go out together. Of each one is told what it came to, once, never from inside `push`. */
export type Pushes = {
  readonly list: PushList;
  /** They overtake a running broadcast. */
  readonly urgent: boolean;
  delivered(index: number): void;
  settle(index: number, outcome: PushOutcome): void;
};

/** One of them by itself, for drivers whose pushes cost a hundred times what an object costs. */
export type Push = {
  readonly address: string;
  readonly payload: string;
  readonly collapseId: string | undefined;
  readonly urgent: boolean;
  settle(outcome: PushOutcome): void;
};

export function pushOf(pushes: Pushes, index: number): Push {
  const { list, urgent } = pushes;
  return {
    address: list.bytes.slice(list.addressStart(index), list.addressEnd(index)),
    payload: list.bytes.slice(list.payloadStart(index), list.payloadEnd(index)),
    collapseId: list.collapseId(index),
    urgent,
    settle: (outcome) => pushes.settle(index, outcome),
  };
}

/**
 * `cause`: the service's own word where it gave one, else `lost:...`, `unprocessed:...`, `no_token`.
 * `gone.since`: the device died at this time; one that registered again later is alive.
 * `retry.uncertain`: it may have arrived; send again only what collapses or may be seen twice.
 * `down`: nothing can be sent now, the devices are innocent. With `alarm` a human must act (credentials).
 */
export type PushOutcome =
  | { readonly kind: 'delivered' }
  | {
      readonly kind: 'retry';
      readonly cause: string;
      readonly retryAfterMs: number | undefined;
      readonly uncertain?: boolean;
    }
  | { readonly kind: 'gone'; readonly cause: string; readonly since?: Date | undefined }
  | { readonly kind: 'refused'; readonly cause: string; readonly detail?: string | undefined }
  | {
      readonly kind: 'down';
      readonly cause: string;
      readonly alarm: boolean;
      readonly retryAfterMs: number | undefined;
    };

/**
 * How the way to a push service stands. `untried`: nothing was answered yet since the start, or since the credentials were set.
 * `paced`: held back to the rate that the service allows. `paused`: the service wants to hear nothing until then. `stopped`:
 * it refuses us, and a human must act; at `until` one push is let through to see. `service`: which one, where a platform has several.
 */
export type LaneState =
  | { readonly kind: 'untried' }
  | { readonly kind: 'running' }
  | { readonly kind: 'paced'; readonly perSecond: number }
  | { readonly kind: 'paused'; readonly cause: string; readonly until: Date; readonly service?: string }
  | {
      readonly kind: 'stopped';
      readonly cause: string;
      readonly since: Date;
      readonly until: Date;
      readonly service?: string;
    };

/** `service`: the host, where a platform has several. */
export type PushSignal = { readonly platform: Platform; readonly service?: string } & (
  | { readonly name: 'push.lane-stopped'; readonly cause: string }
  /** The service has had too much of us: nothing is sent for so long. */
  | { readonly name: 'push.lane-paused'; readonly cause: string; readonly ms: number }
  | { readonly name: 'push.lane-resumed' }
  | { readonly name: 'push.token-renewed' }
  /** Every device so far was called unknown: most likely the sandbox is asked for production devices, or the other way round. */
  | { readonly name: 'push.wrong-environment'; readonly cause: string }
);

export type Driver<Plan> = {
  readonly platform: Platform;
  /** Checks and translates the options once. Throws Refusal('bad_request') for what the service would refuse on every device. */
  plan(options: PushOptions): Plan;
  /** The way out for these pushes. */
  open(plan: Plan, pushes: Pushes): Outlet;
  whenRoom(): Promise<void>;
  state(): LaneState;
  /** Lets running pushes finish for a moment, then closes every connection. Twice is harmless. */
  close(graceMs?: number): Promise<void>;
};

export type Outlet = {
  /** Each index once. False: the window is full, wait for the driver's `whenRoom()` before the next one. */
  push(index: number): boolean;
};

/** A header value that cannot break out of its field. */
export function checkedHeader(name: string, value: string): string {
  if (!/^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$/.test(value))
    throw new Refusal('bad_request', `The header ${name} may hold printable ASCII characters only.`, { header: name });
  return value;
}

/** The platform headers with lower-case names and checked values. */
export function platformHeaders(options: PushOptions): Map<string, string> {
  const entries = Object.entries(options.headers ?? {});
  return new Map(entries.map(([name, value]) => [name.toLowerCase(), checkedHeader(name, value)]));
}
