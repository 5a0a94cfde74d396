// Pushes one chunk of a notification through a driver and gathers one byte of outcome per device: what a broadcast writes down. Outcomes
// that change something (a dead device, a refusal) come as a short list beside it. When the lane goes down the rest of the chunk is left
// alone: those devices keep their turn.

import type { Driver, Pushes, PushList, PushOutcome } from './drivers/driver.ts';

/** The byte per device. `waiting` (0) has not been pushed. `skipped`: the same address was in the chunk before. */
export const outcomeCode = { waiting: 0, delivered: 1, retry: 2, gone: 3, refused: 4, skipped: 5 } as const;

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
export async function fanOut<Plan>(
  driver: Driver<Plan>,
  plan: Plan,
  list: PushList,
  { urgent = false, signal }: FanOutOptions = {},
): Promise<ChunkOutcome> {
  const chunk = new Chunk(list, urgent);
  const outlet = driver.open(plan, chunk);
  for (let index = 0; index < list.length && !signal?.aborted && chunk.down === undefined; index += 1) {
    chunk.running += 1;
    if (!outlet.push(index)) await driver.whenRoom();
  }
  await chunk.settled();
  return chunk;
}

class Chunk implements Pushes, ChunkOutcome {
  readonly list: PushList;
  readonly urgent: boolean;
  readonly codes: Uint8Array;
  readonly exceptions: { readonly index: number; readonly outcome: PushOutcome }[] = [];
  down: ChunkOutcome['down'];
  running = 0;
  #done: (() => void) | undefined;

  constructor(list: PushList, urgent: boolean) {
    this.list = list;
    this.urgent = urgent;
    this.codes = new Uint8Array(list.length);
  }

  delivered(index: number): void {
    this.codes[index] = outcomeCode.delivered;
    this.#ended();
  }

  settle(index: number, outcome: PushOutcome): void {
    if (outcome.kind === 'down') this.down ??= outcome;
    else this.codes[index] = outcomeCode[outcome.kind];
    if (outcome.kind !== 'delivered' && outcome.kind !== 'down') this.exceptions.push({ index, outcome });
    this.#ended();
  }

  settled(): Promise<void> {
    if (this.running === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#done = resolve;
    });
  }

  #ended(): void {
    this.running -= 1;
    if (this.running === 0) this.#done?.();
  }
}
