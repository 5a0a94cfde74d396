// From slices that were pushed to the chunk of them that is written down.

import type { AimList } from './aim-list.ts';
import { outcomeCode } from './fan-out.ts';
import type { FailureRow, SettledChunk } from './legs.ts';
import type { Failed, PushedChunk } from './push.ts';
import type { Slice } from './slices.ts';

/** One refusal of a message looks like another: these are kept as examples, the rest as bytes. */
const refusedPerChunk = 20;

/** A slice on its way. */
export type Running = { readonly slice: Slice; readonly pushed: Promise<void>; result: PushedChunk | undefined };
export type Done = { readonly slice: Slice; readonly result: PushedChunk };

/** Takes out the slices at the head that have been pushed. */
export function takeDone(running: Running[]): Done[] {
  const done: Done[] = [];
  for (let head = running[0]; head?.result !== undefined; head = running[0]) {
    done.push({ slice: head.slice, result: head.result });
    running.shift();
  }
  return done;
}

/** What is written down of slices that are settled together. */
export type Chunk = Pick<SettledChunk, 'reached' | 'walked' | 'codes' | 'devices' | 'failures'> & {
  readonly down: PushedChunk['down'];
};

/** `base`: of a send to addresses, how many came before the chunk. */
export function together(done: readonly Done[], now: Date, base: number | undefined): Chunk {
  const { reached, walked } = done.at(-1)!.slice;
  const codes = Buffer.concat(done.map(({ result }) => result.codes));
  const devices = Buffer.allocUnsafe(codes.length * 4);
  const failures = new Failures(now, base);
  let before = 0;
  for (const { slice, result } of done) {
    for (let i = 0; i < slice.aims.length; i += 1) devices.writeUInt32BE(slice.aims.mark(i), (before + i) * 4);
    failures.add(slice.aims, result, before);
    before += slice.aims.length;
  }
  const down = done.find(({ result }) => result.down)?.result.down;
  return { reached, walked, codes, devices, failures: failures.rows, down };
}

/** What is kept of the pushes that failed. */
class Failures {
  readonly rows: FailureRow[] = [];
  readonly #now: Date;
  readonly #base: number | undefined;
  #refused = 0;

  constructor(now: Date, base: number | undefined) {
    this.#now = now;
    this.#base = base;
  }

  /** Of a slice that stands behind `before` others in its chunk. */
  add(aims: AimList, { codes, failed }: PushedChunk, before: number): void {
    for (const failure of failed) {
      const { index, outcome, cause, retryInMs } = failure;
      if (retryInMs === undefined && codes[index] !== outcomeCode.gone && ++this.#refused > refusedPerChunk) continue;
      const { platform, part } = aims.kindAt(index);
      const place = before + index;
      this.rows.push({
        place,
        platform,
        deviceId: aims.deviceId(index),
        part: this.#base === undefined ? part : String(this.#base + place),
        outcome,
        cause,
        dueAt: dueAtOf(failure, 1, this.#now),
      });
    }
  }
}

/** When it is tried again, after so many tries; undefined when it is not. */
export function dueAtOf({ retryInMs, innocent }: Failed, tries: number, now: Date): Date | undefined {
  if (retryInMs === undefined) return undefined;
  return new Date(now.getTime() + retryInMs * (innocent ? 1 : 2 ** (tries - 1)));
}
