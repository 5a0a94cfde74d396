// A lane's circuit breaker: when the channel as a whole is down, the lane waits and probes with one delivery at a time
// instead of burning the attempts of all of them.
//   closed --down--> open --wait is over--> probing --anything but down--> closed
//                     ^------down (longer wait)-'
// Pure: the clock and the dice come in as arguments.
import { backoffMs } from '../kit/backoff.ts';
import type { Outcome } from './channel.ts';
import type { BreakerPolicy } from './policy.ts';

export type Breaker =
  | { readonly state: 'closed' }
  | { readonly state: 'open'; readonly until: number; readonly probes: number; readonly alarm: boolean };

type Down = Extract<Outcome, { kind: 'down' }>;

export const closed: Breaker = { state: 'closed' };

/** The state after the channel said that it is down, `probes` of them having failed before. */
export function opened(before: Breaker, down: Down, policy: BreakerPolicy, now: number, dice: number): Breaker {
  const probes = before.state === 'open' ? before.probes + 1 : 0;
  const alarm = down.alarm ?? false;
  const wait = alarm ? policy.alarmProbeMs : probeWaitMs(probes, policy, dice);
  return { state: 'open', until: now + Math.max(wait, down.retryAfterMs ?? 0), probes, alarm };
}

// Between half of the interval and all of it: full jitter could probe a dead server many times a second.
function probeWaitMs(probes: number, policy: BreakerPolicy, dice: number): number {
  return backoffMs(probes + 1, policy.probe, 0.5 + dice / 2);
}
