// What a leg pushes, in slices: devices page by page, or a list of addresses. The next page is being read and rendered
// while the slices of this one are on their way; nothing else is held, however many devices there are.

import { type Aim, type Aimer, directAims, type Message } from './aims.ts';
import type { PushPage } from './push-page.ts';

/** Devices that are read at once. */
export const pageSize = 1_000;
/** Devices that are pushed together. */
export const sliceSize = 500;
/** A page is cut down when devices are large: memory is bounded by bytes, not by their number. */
const mostPageBytes = 2_000_000;

export type Slice = {
  readonly aims: readonly Aim[];
  /** The number of its last device; of a list of addresses, how many there are up to its end. */
  readonly reached: string;
  /** It is the last one. */
  readonly walked: boolean;
};

/** `first` is the page to begin with, of at most `pageSize` devices. */
export async function* deviceSlices(
  aimer: Aimer,
  readPage: (after: string, limit: number) => Promise<PushPage>,
  first: PushPage,
): AsyncGenerator<Slice> {
  let limit = pageSize;
  const slicesOf = (page: PushPage): Slice[] => {
    limit = Math.floor((page.devices.length * mostPageBytes) / Math.max(page.bytes, 1));
    limit = Math.max(1, Math.min(pageSize, limit));
    return slicesOfPage(aimer, page);
  };
  for (let slices = slicesOf(first); ; ) {
    const { reached, walked } = slices.at(-1)!;
    const next = walked ? undefined : readPage(reached, limit).then(slicesOf);
    // Whoever stops early must not leave a rejection behind.
    next?.catch(() => {});
    yield* slices;
    if (next === undefined) return;
    slices = await next;
  }
}

function slicesOfPage(aimer: Aimer, { devices, numbers, last, walked }: PushPage): Slice[] {
  const slices: Slice[] = [];
  let at = 0;
  do {
    const end = Math.min(at + sliceSize, devices.length);
    const aims: Aim[] = [];
    for (let i = at; i < end; i += 1) aimer.take(devices[i]!, aims);
    const over = end === devices.length;
    slices.push({ aims, reached: over ? last : numbers[end - 1]!, walked: over && walked });
    at = end;
  } while (at < devices.length);
  return slices;
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
    yield { aims: directAims(message, addresses), reached: String(at + addresses.length), walked };
    if (walked) return;
  }
}
