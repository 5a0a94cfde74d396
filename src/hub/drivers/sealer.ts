// Where Web Push messages are encrypted. At 0.15 ms each, a broadcast would hold the event loop for as long as it lasts. Few messages
// are sealed here, in slices of a few milliseconds between which everything else runs; many in worker threads, which are started when they
// are needed and end when they have rested for a while. Urgent ones come first: of them a slice is sealed here in any case.

import { Worker } from 'node:worker_threads';
import { Encryption, type RecipientKeys } from './encryption.ts';
import { isPublicKey } from './key-agreement.ts';

/** The body; or why there is none: the recipient's key can never do, or something failed here, which may pass. */
export type Sealed = Buffer | 'bad key' | 'failed';

/** `done` is called once, never from inside `seal`. */
export type SealJob = {
  readonly text: string;
  readonly keys: RecipientKeys;
  readonly urgent: boolean;
  done(sealed: Sealed): void;
};

/** What seals: `Encryption`; for tests, something that fails. */
export type Seals = Pick<Encryption, 'seal' | 'rest'>;

/** What a thread is sent: texts, and for each 65 bytes of `p256dh` and 16 of `auth`. */
export type SealBatch = { readonly texts: readonly string[]; readonly keys: Uint8Array };
/** The bodies one after the other, and how long each is; 0 for a bad key, -1 where something failed. */
export type SealedBatch = { readonly bodies: Uint8Array; readonly lengths: readonly number[] };

const sliceMs = 4;
/** Some 10 ms of work: with fewer, waking each other costs the threads as much as a twentieth of it. */
const jobsPerBatch = 64;
const batchesPerThread = 2;
/** Enough to keep threads busy, little enough that an urgent push is not far behind. */
const maxWaiting = 256;
/** As many are sealed here as would take longer to hand to a thread. */
const fewJobs = 32;
const restMs = 30_000;

type Thread = { readonly worker: Worker; readonly batches: SealJob[][] };

export class Sealer {
  readonly #inline: Seals;
  #mostThreads: number;
  readonly #threads: Thread[] = [];
  readonly #urgent: SealJob[] = [];
  readonly #normal: SealJob[] = [];
  readonly #roomWaiters: (() => void)[] = [];
  #scheduled = false;
  #closed = false;
  #resting: NodeJS.Timeout | undefined;

  /** `mostThreads` 0: always in slices on this thread. */
  constructor(mostThreads = 0, inline: Seals = new Encryption()) {
    this.#mostThreads = mostThreads;
    this.#inline = inline;
  }

  /** How many run; for tests. */
  get threads(): number {
    return this.#threads.length;
  }

  /** False: enough is waiting, see `whenRoom`. */
  seal(job: SealJob): boolean {
    (job.urgent ? this.#urgent : this.#normal).push(job);
    this.#schedule();
    return this.#waiting < maxWaiting;
  }

  whenRoom(): Promise<void> {
    if (this.#waiting < maxWaiting) return Promise.resolve();
    return new Promise((resolve) => this.#roomWaiters.push(resolve));
  }

  /** What waits is still sealed, on this thread. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#resting);
    await this.#endThreads();
  }

  async #endThreads(): Promise<void> {
    for (const thread of this.#threads.splice(0)) {
      this.#normal.unshift(...thread.batches.flat());
      thread.batches.length = 0;
      await thread.worker.terminate();
    }
    this.#schedule();
  }

  get #waiting(): number {
    return this.#urgent.length + this.#normal.length;
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      if (this.#wantsThreads()) this.#handOut();
      else this.#sealSlice();
      if (this.#waiting < maxWaiting) for (const resolve of this.#roomWaiters.splice(0)) resolve();
    });
  }

  #wantsThreads(): boolean {
    if (this.#threads.length > 0) return true;
    return !this.#closed && this.#mostThreads > 0 && this.#waiting > fewJobs;
  }

  #sealSlice(most = Number.POSITIVE_INFINITY): void {
    const end = performance.now() + sliceMs;
    const least = Math.max(this.#waiting - most, 0);
    while (this.#waiting > least && performance.now() < end)
      this.#sealHere((this.#urgent.shift() ?? this.#normal.shift())!);
    this.#inline.rest();
    if (this.#waiting > 0) this.#schedule();
  }

  #sealHere(job: SealJob): void {
    job.done(trySeal(this.#inline, job.text, job.keys));
  }

  /** A thread more while there is work for it. A slice of the urgent messages is sealed here: a thread may have a batch before it. */
  #handOut(): void {
    if (this.#urgent.length > 0) this.#sealSlice(this.#urgent.length);
    while (this.#waiting > 0) {
      if (this.#threads.every(({ batches }) => batches.length > 0) && this.#threads.length < this.#mostThreads)
        this.#threads.push(this.#startThread());
      const thread = this.#threads.toSorted((a, b) => a.batches.length - b.batches.length)[0]!;
      if (thread.batches.length >= batchesPerThread) break;
      const jobs = this.#urgent.splice(0, jobsPerBatch);
      jobs.push(...this.#normal.splice(0, jobsPerBatch - jobs.length));
      thread.batches.push(jobs);
      thread.worker.postMessage(packed(jobs));
    }
    clearTimeout(this.#resting);
    this.#resting = setTimeout(() => this.#rest(), restMs).unref();
  }

  #rest(): void {
    if (this.#waiting === 0 && this.#threads.every(({ batches }) => batches.length === 0)) void this.#endThreads();
  }

  #startThread(): Thread {
    const worker = new Worker(new URL('./sealer-thread.ts', import.meta.url));
    const thread: Thread = { worker, batches: [] };
    worker.unref();
    worker.on('message', (sealed: SealedBatch) => {
      unpack(sealed, thread.batches.shift() ?? []);
      this.#schedule();
    });
    worker.on('error', () => this.#lost(thread));
    return thread;
  }

  /** A thread that died (out of memory, say) gives its work back and is not replaced; without threads it is done here. */
  #lost(thread: Thread): void {
    this.#mostThreads -= 1;
    const at = this.#threads.indexOf(thread);
    if (at >= 0) this.#threads.splice(at, 1);
    this.#normal.unshift(...thread.batches.splice(0).flat());
    this.#schedule();
  }
}

/** Seals, or says whose fault it is that it cannot. */
export function trySeal(encryption: Seals, text: string, keys: RecipientKeys): Sealed {
  try {
    return encryption.seal(text, keys);
  } catch {
    if (!isPublicKey(keys.p256dh)) return 'bad key';
    encryption.rest(); // What the agreement holds may be what fails: the next message begins anew.
    return 'failed';
  }
}

/** How the length of each body says that there is none. */
export function lengthOf(sealed: Sealed): number {
  if (typeof sealed === 'string') return sealed === 'bad key' ? 0 : -1;
  return sealed.length;
}

function packed(jobs: readonly SealJob[]): SealBatch {
  const keys = new Uint8Array(jobs.length * 81);
  jobs.forEach(({ keys: { p256dh, auth } }, i) => {
    keys.set(p256dh, i * 81);
    keys.set(auth, i * 81 + 65);
  });
  return { texts: jobs.map(({ text }) => text), keys };
}

function unpack({ bodies, lengths }: SealedBatch, jobs: readonly SealJob[]): void {
  const whole = Buffer.from(bodies.buffer, bodies.byteOffset, bodies.length);
  let at = 0;
  for (const [i, job] of jobs.entries()) {
    const length = lengths[i] ?? -1;
    if (length > 0) job.done(whole.subarray(at, at + length));
    else job.done(length === 0 ? 'bad key' : 'failed');
    at += Math.max(length, 0);
  }
}
