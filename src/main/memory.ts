// How much memory V8 may hold before it looks through the whole heap.
//
// It does so when what is new since the last look has reached about 10 % of the heap, at least 8 MB, and buffers count,
// though the heap's collector does not look into them: 15 batches of 100 messages. One look at the 37 MB of this
// program costs 50 to 300 ms of CPU, three quarters of them on other threads. Measured on sends over AMQP in batches of
// 100 x 1 KB: 7.3 ms of CPU a batch as V8 has it, 4.5 ms when the heap may double, 4.3 ms when it may become four times
// as large; other sizes of young generations (`--max-semi-space-size`, 2 to 64 MB) change nothing.
//
// Loading the sources leaves much behind: a server that has just started holds 100 MB of heap and uses 37. V8 looks for
// what it can give back when it needs more, which an idle server does not, so it is asked to look once.
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** Lets as much come as there is before V8 looks what it can give back. Costs 40 MB of memory under load, none idle. */
export function letHeapDouble(): void {
  setFlagsFromString('--heap-growing-percent=100');
}

/**
 * V8 notes which places of the code make objects that outlive two collections of the young, and has them make old ones
 * from then on. Under load that happens to what statements and requests are made of: whatever is under way at that
 * moment lives on. They die as quickly as before, but the young that they point to, buffers first of all, then stay
 * until V8 looks through the whole heap: 8 KB an event, and such a look every 5 s at 1,000 events/s, each of which held
 * up everything for 100 ms. Without those notes 0.3 KB stay, and a collection of the young takes half as long.
 */
export function keepYoung(): void {
  setFlagsFromString('--no-allocation-site-pretenuring');
}

/** Gives back what the start left behind, 35 MB, over the next seconds. Stops the process for about 50 ms. */
export function giveBackMemory(): void {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void; // new contexts have it because of the flag
  setFlagsFromString('--no-expose-gc');
  collect();
}
