// What a leg pushes, in slices: devices page by page, or a list of addresses. The next page is being read while the slices
// of this one are rendered and go out; nothing else is held, however many devices there are.

import { type Aim, AimList } from './aim-list.ts';
import { type Aimer, directAims, type Message } from './aims.ts';
import type { PushPage } from './push-page.ts';

/** Devices that are read at first. A send to no more of them goes to all platforms in one leg. */
export const firstPageSize = 1_000;
/** Devices that are read at once after that. */
const pageSize = 4_000;
/** Devices that are pushed together. */
export const sliceSize = 500;
/** A page is cut down when devices are large: memory is bounded by bytes, not by their number. */
const mostPageBytes = 2_000_000;

export type Slice = {
  readonly aims: AimList;
  /** The number of its last device; of a list of addresses, how many there are up to its end. */
  readonly reached: string;
  /** It is the last one. */
  readonly walked: boolean;
};

/** `first` is the page to begin with, of at most `firstPageSize` devices. Whoever is through with a slice may put its aims to `spare`. */
export async function* deviceSlices(
  aimer: Aimer,
  readPage: (after: string, limit: number) => Promise<PushPage>,
  first: PushPage,
  spare: AimList[],
): AsyncGenerator<Slice> {
  for (let page = first; ; ) {
    const next = page.walked ? undefined : readPage(page.last, limitAfter(page));
    // Whoever stops early must not leave a rejection behind.
    next?.catch(() => {});
    yield* slicesOfPage(aimer, page, spare);
    if (next === undefined) return;
    page = await next;
  }
}

function limitAfter({ length, bytes }: PushPage): number {
  return Math.max(1, Math.min(pageSize, Math.floor((length * mostPageBytes) / Math.max(bytes, 1))));
}

function* slicesOfPage(aimer: Aimer, page: PushPage, spare: AimList[]): Generator<Slice> {
  const ends: number[] = [];
  for (let end = sliceSize; end < page.length; end += sliceSize) ends.push(end);
  const numbers = page.numbersAt(ends.map((end) => end - 1));
  for (const [i, end] of [...ends, page.length].entries()) {
    const aims = spare.pop() ?? new AimList();
    aims.clear();
    aimer.takeRows(page, i * sliceSize, end, aims);
    const over = end === page.length;
    yield { aims, reached: over ? page.last : numbers[i]!, walked: over && page.walked };
  }
}

/** A list of addresses, from the place `from` on. */
export async function* addressSlices(
  message: Message,
  to: readonly Aim['address'][],
  from: number,
): AsyncGenerator<Slice> {
  for (let at = from; ; at += sliceSize) {
    const addresses = to.slice(at, at + sliceSize);
    const walked = at + sliceSize >= to.length;
    yield { aims: AimList.of(directAims(message, addresses)), reached: String(at + addresses.length), walked };
    if (walked) return;
  }
}
