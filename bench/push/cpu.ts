// CPU seconds that processes have used, from /proc: who was busy while a figure was taken.

import { readFileSync } from 'node:fs';

const ticksPerSecond = 100;

/** User and system time of `pid`, in seconds; of its dead children too. 0 when it is gone. */
export function cpuSeconds(pid: number): number {
  try {
    // The name in parentheses may hold anything; utime, stime, cutime and cstime are the 12th to 15th after it.
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ');
    return fields.slice(11, 15).reduce((sum, ticks) => sum + Number(ticks), 0) / ticksPerSecond;
  } catch {
    return 0;
  }
}
