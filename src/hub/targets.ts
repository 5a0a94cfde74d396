// Pushes to a few addresses, each with a payload of its own, as the drivers take them.

import { Bytes } from './bytes.ts';
import type { PushList } from './drivers/driver.ts';
import type { PushChannel } from './installation.ts';

export type Target = {
  readonly address: PushChannel;
  readonly payload: string;
  readonly id?: string | undefined;
  readonly collapseId?: string | undefined;
};

export class Targets implements PushList {
  readonly length: number;
  readonly bytes = new Bytes(4_096);
  readonly #targets: readonly Target[];
  /** Where each address and each payload ends. */
  readonly #ends: number[] = [0];

  constructor(targets: readonly Target[]) {
    this.length = targets.length;
    this.#targets = targets;
    for (const { address, payload } of targets)
      for (const text of [addressText(address), payload]) {
        this.bytes.text(text);
        this.#ends.push(this.bytes.length);
      }
  }

  addressStart(index: number): number {
    return this.#ends[index * 2]!;
  }

  addressEnd(index: number): number {
    return this.#ends[index * 2 + 1]!;
  }

  payloadStart(index: number): number {
    return this.#ends[index * 2 + 1]!;
  }

  payloadEnd(index: number): number {
    return this.#ends[index * 2 + 2]!;
  }

  form(): undefined {
    return undefined;
  }

  id(index: number): string | undefined {
    return this.#targets[index]!.id;
  }

  collapseId(index: number): string | undefined {
    return this.#targets[index]!.collapseId;
  }
}

/** As the drivers read it: a subscription as JSON. */
export function addressText(address: PushChannel): string {
  return typeof address === 'string' ? address : JSON.stringify(address);
}
