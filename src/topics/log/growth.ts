// Who waits for a partition of the log to grow: readers of the log itself, which own nothing and lock nothing.
import type { Block } from './block.ts';
import { headKey } from './plan.ts';

/** Hears of a block that this node appended; without one: another node may have appended. */
export type Watcher = (block: Block | undefined) => void;

export class Growth {
  readonly #watchers = new Map<string, Set<Watcher>>();

  /** Returns what ends the watching. */
  watch(topic: number, part: number, watcher: Watcher): () => void {
    const key = headKey(topic, part);
    const its = this.#watchers.get(key) ?? new Set();
    this.#watchers.set(key, its.add(watcher));
    return () => {
      its.delete(watcher);
      if (its.size === 0 && this.#watchers.get(key) === its) this.#watchers.delete(key);
    };
  }

  appended(topic: number, block: Block): void {
    const its = this.#watchers.get(headKey(topic, block.partition));
    if (its) for (const watcher of its) watcher(block.hold());
  }

  /** Other nodes tell only the owner of a partition what they append; readers look for themselves. */
  lookAll(): void {
    for (const its of this.#watchers.values()) for (const watcher of its) watcher(undefined);
  }
}
