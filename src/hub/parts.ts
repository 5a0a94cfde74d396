// How a file is cut into parts: at ends of lines, the same way each time, so that an upload can go on where it broke off.

import { Refusal } from '../kit/refusal.ts';

/** In bytes. A line that is longer is no device. */
export const mostPartBytes = 8 * 1024 * 1024;
const goodPartBytes = 1024 * 1024;

/** Cuts a stream at ends of lines, into parts of about goodPartBytes. The last one may be empty. */
export async function* partsOf(
  chunks: AsyncIterable<Buffer>,
  size = goodPartBytes,
): AsyncGenerator<{ readonly content: Buffer; readonly last: boolean }> {
  let kept: Buffer[] = [];
  let length = 0;
  for await (const chunk of chunks) {
    kept.push(chunk);
    length += chunk.length;
    if (length < size) continue;
    const whole = Buffer.concat(kept);
    const end = whole.lastIndexOf(10) + 1;
    if (end === 0 && length > mostPartBytes)
      throw new Refusal('too_large', `A line of the file is longer than ${mostPartBytes} bytes.`);
    kept = [whole.subarray(end)];
    length -= end;
    if (end > 0) yield { content: whole.subarray(0, end), last: false };
  }
  yield { content: Buffer.concat(kept), last: true };
}
