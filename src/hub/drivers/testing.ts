// For the tests of the drivers: one push as a promise.

import type { Driver, Push, PushOptions, PushOutcome } from './driver.ts';

export async function pushOnce<Address, Plan>(
  driver: Driver<Address, Plan>,
  address: Address,
  payload: string,
  options: PushOptions = {},
  more: Partial<Push<Address>> = {},
): Promise<PushOutcome> {
  const plan = driver.plan(options);
  return new Promise((settle) => {
    driver.push(plan, { address, payload, ...more, settle });
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
