// A set of sequence numbers as sorted ranges, because what consumers complete is nearly always runs.

export type Range = { readonly start: number; readonly end: number };

export class Ranges {
  /** Sorted, disjoint, not adjacent; `end` is exclusive. */
  #ranges: Range[] = [];

  get list(): readonly Range[] {
    return this.#ranges;
  }

  /** How many numbers are in it. */
  get size(): number {
    return this.#ranges.reduce((sum, range) => sum + range.end - range.start, 0);
  }

  add(start: number, end: number): void {
    if (end <= start) return;
    const from = this.#firstEndingAtOrAfter(start);
    let to = from;
    let low = start;
    let high = end;
    for (; to < this.#ranges.length && this.#ranges[to]!.start <= high; to++) {
      low = Math.min(low, this.#ranges[to]!.start);
      high = Math.max(high, this.#ranges[to]!.end);
    }
    this.#ranges.splice(from, to - from, { start: low, end: high });
  }

  /** `value` itself, or the first number after it that is not in the set. */
  nextOutside(value: number): number {
    const range = this.#ranges[this.#firstEndingAtOrAfter(value + 1)];
    return range && range.start <= value ? range.end : value;
  }

  has(value: number): boolean {
    return this.nextOutside(value) !== value;
  }

  /** Forgets everything below `value`. */
  dropBelow(value: number): void {
    const kept = this.#ranges.filter((range) => range.end > value);
    const first = kept[0];
    if (first && first.start < value) kept[0] = { start: value, end: first.end };
    this.#ranges = kept;
  }

  #firstEndingAtOrAfter(value: number): number {
    let low = 0;
    let high = this.#ranges.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#ranges[middle]!.end < value) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** The ranges that `sequences` make; they may come in any order. */
export function toRanges(sequences: readonly number[]): Range[] {
  const sorted = [...sequences].sort((a, b) => a - b);
  const ranges: Range[] = [];
  let start = sorted[0]!;
  for (let i = 0; i < sorted.length; i++) {
    const next = sorted[i + 1];
    if (next === sorted[i]! + 1 || next === sorted[i]) continue;
    ranges.push({ start, end: sorted[i]! + 1 });
    start = next!;
  }
  return ranges;
}
