// For the tests of the drivers: one push as a promise.

import { type Target, Targets } from '../targets.ts';
import type { Driver, PushOptions, PushOutcome } from './driver.ts';

export function pushOnce<Plan>(
  driver: Driver<Plan>,
  address: Target['address'],
  payload: string,
  options: PushOptions = {},
  more: Partial<Target> & { readonly urgent?: boolean } = {},
): Promise<PushOutcome> {
  return pushOne(driver, driver.plan(options), { address, payload, ...more });
}

export function pushOne<Plan>(
  driver: Driver<Plan>,
  plan: Plan,
  { urgent = false, ...target }: Target & { readonly urgent?: boolean },
): Promise<PushOutcome> {
  return new Promise((resolve) => {
    const delivered = () => resolve({ kind: 'delivered' });
    const settle = (_: number, outcome: PushOutcome) => resolve(outcome);
    driver.open(plan, { list: new Targets([target]), urgent, delivered, settle }).push(0);
  });
}

/** A clock that a test moves. */
export function movableClock(start = Date.UTC(2026, 10, 22, 12)): { now: () => number; pass: (ms: number) => void } {
  let at = start;
  return {
    now: () => at,
    pass: (ms) => {
      at += ms;
    },
  };
}
