// Pushes one chunk of a notification through a driver and gathers one byte of outcome per device: what a broadcast writes down. Outcomes
// that change something (a dead device, a refusal) come as a short list beside it. When the lane goes down the rest of the chunk is left
// alone: those devices keep their turn.

import type { Driver, Push, PushOutcome } from './drivers/driver.ts';

/** The byte per device. `waiting` (0) has not been pushed. `skipped`: the same address was in the chunk before. */
export const outcomeCode = { waiting: 0, delivered: 1, retry: 2, gone: 3, refused: 4, skipped: 5 } as const;

export type Target<Address> = {
  readonly address: Address;
  readonly payload: string;
  readonly id?: string | undefined;
  readonly collapseId?: string | undefined;
};

export type ChunkOutcome = {
  /** One outcomeCode per target, in their order. */
  readonly codes: Uint8Array;
  /** Everything but `delivered`, by index. */
  readonly exceptions: readonly { readonly index: number; readonly outcome: PushOutcome }[];
  /** The lane stopped: what is still `waiting` may be tried again after this. */
  readonly down: Extract<PushOutcome, { kind: 'down' }> | undefined;
};

export type FanOutOptions = {
  /** Overtakes whatever else this driver is sending. */
  readonly urgent?: boolean;
  /** Stops pushing; what runs is still waited for. */
  readonly signal?: AbortSignal;
};

/** Resolves when every push that left has its outcome. Several chunks may run at once: that keeps the connection busy between them. */
export function fanOut<Address, Plan>(
  driver: Driver<Address, Plan>,
  plan: Plan,
  targets: readonly Target<Address>[],
  options?: FanOutOptions,
): Promise<ChunkOutcome> {
  return fanOutTo(driver, plan, targets, (address) => address, options);
}

/** As fanOut, for targets that hold their address in another form. */
export async function fanOutTo<Given, Address, Plan>(
  driver: Driver<Address, Plan>,
  plan: Plan,
  targets: readonly Target<Given>[],
  addressOf: (given: Given) => Address,
  options: FanOutOptions = {},
): Promise<ChunkOutcome> {
  const chunk = new Chunk(targets.length);
  const urgent = options.urgent ?? false;
  for (let index = 0; index < targets.length && !options.signal?.aborted && chunk.down === undefined; index += 1) {
    const target = targets[index]!;
    chunk.running += 1;
    const push = new ChunkPush(chunk, index, addressOf(target.address), target, urgent);
    if (!driver.push(plan, push)) await driver.whenRoom();
  }
  await chunk.settled();
  return chunk;
}

class ChunkPush<Address> implements Push<Address> {
  readonly address: Address;
  readonly payload: string;
  readonly id: string | undefined;
  readonly collapseId: string | undefined;
  readonly urgent: boolean;
  readonly #chunk: Chunk;
  readonly #index: number;

  constructor(chunk: Chunk, index: number, address: Address, target: Target<unknown>, urgent: boolean) {
    this.#chunk = chunk;
    this.#index = index;
    this.address = address;
    this.payload = target.payload;
    this.id = target.id;
    this.collapseId = target.collapseId;
    this.urgent = urgent;
  }

  settle(outcome: PushOutcome): void {
    this.#chunk.settle(this.#index, outcome);
  }
}

class Chunk implements ChunkOutcome {
  readonly codes: Uint8Array;
  readonly exceptions: { readonly index: number; readonly outcome: PushOutcome }[] = [];
  down: ChunkOutcome['down'];
  running = 0;
  #done: (() => void) | undefined;

  constructor(size: number) {
    this.codes = new Uint8Array(size);
  }

  settle(index: number, outcome: PushOutcome): void {
    if (outcome.kind === 'down') this.down ??= outcome;
    else this.codes[index] = outcomeCode[outcome.kind];
    if (outcome.kind !== 'delivered' && outcome.kind !== 'down') this.exceptions.push({ index, outcome });
    this.running -= 1;
    if (this.running === 0) this.#done?.();
  }

  settled(): Promise<void> {
    if (this.running === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#done = resolve;
    });
  }
}
