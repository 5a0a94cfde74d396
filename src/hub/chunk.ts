// From slices that were pushed to the chunk of them that is written down.

import { crc32 } from 'node:zlib';
import type { Aim } from './aims.ts';
import { outcomeCode } from './fan-out.ts';
import type { FailureRow } from './legs.ts';
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

/** Slices that are settled together, as the one chunk that is written down. */
export function together(done: readonly Done[]): Slice & { readonly pushed: PushedChunk } {
  const { reached, walked } = done.at(-1)!.slice;
  if (done.length === 1) return { ...done[0]!.slice, pushed: done[0]!.result };
  const aims = done.flatMap(({ slice }) => slice.aims);
  const failed: Failed[] = [];
  let before = 0;
  for (const { slice, result } of done) {
    for (const each of result.failed) failed.push({ ...each, index: each.index + before });
    before += slice.aims.length;
  }
  const down = done.find(({ result }) => result.down)?.result.down;
  return {
    aims,
    reached,
    walked,
    pushed: { codes: Buffer.concat(done.map(({ result }) => result.codes)), failed, down },
  };
}

/** What is kept of each push that failed. `base`: of a send to addresses, how many came before the chunk. */
export function failuresOf(
  aims: readonly Aim[],
  { codes, failed }: PushedChunk,
  now: Date,
  base: number | undefined,
): FailureRow[] {
  let refused = 0;
  const rows: FailureRow[] = [];
  for (const failure of failed) {
    const { index, outcome, cause, retryInMs } = failure;
    const { platform, deviceId, part } = aims[index]!;
    if (retryInMs === undefined && codes[index] !== outcomeCode.gone && ++refused > refusedPerChunk) continue;
    rows.push({
      place: index,
      platform,
      deviceId,
      part: base === undefined ? part : String(base + index),
      outcome,
      cause,
      dueAt: dueAtOf(failure, 1, now),
    });
  }
  return rows;
}

/** When it is tried again, after so many tries; undefined when it is not. */
export function dueAtOf({ retryInMs, innocent }: Failed, tries: number, now: Date): Date | undefined {
  if (retryInMs === undefined) return undefined;
  return new Date(now.getTime() + retryInMs * (innocent ? 1 : 2 ** (tries - 1)));
}

/** Four bytes per push that tell its device, if one asks for it. */
export function deviceMark(id: string): number {
  return crc32(id);
}

/** One after the other, as settleChunk takes them. */
export function marksOf(aims: readonly Aim[]): Buffer {
  const marks = Buffer.allocUnsafe(aims.length * 4);
  aims.forEach(({ deviceId, handle }, i) => {
    marks.writeUInt32BE(deviceMark(deviceId ?? handle), i * 4);
  });
  return marks;
}
