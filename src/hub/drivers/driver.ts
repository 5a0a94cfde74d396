// What the hub's fan-out knows of a push service: plan a notification once, push it to many devices, learn the outcome of each.
// Four drivers implement it (apns, fcm, wns, webpush); payloads are already rendered for the platform when they come here.

import { Refusal } from '../../kit/refusal.ts';

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

export type Push<Address> = {
  readonly address: Address;
  /** The platform's own body: JSON, XML or text. */
  readonly payload: string;
  /** A UUID that makes this push recognisable in the service's answers (apns-id). */
  readonly id?: string | undefined;
  /** Instead of the plan's. */
  readonly collapseId?: string | undefined;
  /** Overtakes a running broadcast. */
  readonly urgent?: boolean | undefined;
  /** Called once, never from inside `push`. */
  settle(outcome: PushOutcome): void;
};

/**
 * `cause`: the service's own word where it gave one, else `lost:...`, `unprocessed:...`, `no_token`.
 * `gone.since`: the device died at this time; one that registered again later is alive.
 * `retry.uncertain`: it may have arrived; send again only what collapses or may be seen twice.
 * `down`: nothing can be sent now, the devices are innocent. With `alarm` a human must act (credentials).
 */
export type PushOutcome =
  | { readonly kind: 'delivered'; readonly providerId: string | undefined }
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

export type Driver<Address, Plan> = {
  readonly platform: Platform;
  /** Checks and translates the options once. Throws Refusal('bad_request') for what the service would refuse on every device. */
  plan(options: PushOptions): Plan;
  /** False: the window is full, wait for `whenRoom()` before the next one. */
  push(plan: Plan, push: Push<Address>): boolean;
  whenRoom(): Promise<void>;
  state(): LaneState;
  /** Lets running pushes finish for a moment, then closes every connection. Twice is harmless. */
  close(graceMs?: number): Promise<void>;
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
