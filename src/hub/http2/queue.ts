// Calls that wait for a stream: urgent ones first, each kind in order of arrival. Arrays with a moving head: shifting is O(1).

import type { Calls } from './port.ts';

export type Waiting = { readonly calls: Calls; readonly index: number; readonly deadline: number };

class Fifo {
  #items: (Waiting | undefined)[] = [];
  #head = 0;

  get size(): number {
    return this.#items.length - this.#head;
  }

  push(item: Waiting): void {
    this.#items.push(item);
  }

  /** Rare (calls that a connection gave back), so its cost does not matter. */
  unshift(item: Waiting): void {
    if (this.#head > 0) this.#items[--this.#head] = item;
    else this.#items.unshift(item);
  }

  shift(): Waiting | undefined {
    if (this.#head >= this.#items.length) return undefined;
    const item = this.#items[this.#head];
    this.#items[this.#head++] = undefined;
    if (this.#head > 1024 && this.#head * 2 > this.#items.length) this.#compact();
    return item;
  }

  /** Takes out and returns what `matches`. */
  extract(matches: (item: Waiting) => boolean): Waiting[] {
    const items = this.#items.slice(this.#head) as Waiting[];
    if (!items.some(matches)) return [];
    this.#items = items.filter((item) => !matches(item));
    this.#head = 0;
    return items.filter(matches);
  }

  #compact(): void {
    this.#items = this.#items.slice(this.#head);
    this.#head = 0;
  }
}

export class CallQueue {
  readonly #urgent = new Fifo();
  readonly #normal = new Fifo();

  get size(): number {
    return this.#urgent.size + this.#normal.size;
  }

  push(item: Waiting): void {
    (item.calls.urgent ? this.#urgent : this.#normal).push(item);
  }

  unshift(item: Waiting): void {
    (item.calls.urgent ? this.#urgent : this.#normal).unshift(item);
  }

  shift(): Waiting | undefined {
    return this.#urgent.shift() ?? this.#normal.shift();
  }

  expire(now: number): Waiting[] {
    if (this.size === 0) return [];
    const late = (item: Waiting): boolean => item.deadline <= now;
    return [...this.#urgent.extract(late), ...this.#normal.extract(late)];
  }

  clear(): Waiting[] {
    return [...this.#urgent.extract(() => true), ...this.#normal.extract(() => true)];
  }
}
