// Carries out imports and exports, one at a time on a node. Each part is one transaction that also writes down how far the
// job came, so a killed node's successor repeats nothing and leaves nothing out.

import type { Database, Tx } from '../kit/database.ts';
import type { Emit } from '../kit/signals.ts';
import { type BulkLine, type BulkResult, writeBulk } from './bulk.ts';
import { countDevices, listDevices } from './device-list.ts';
import type { Device } from './devices.ts';
import { fileInfo, readPart, writePart } from './files.ts';
import { claimJob, type Job, type JobForm, type JobProgress, jobFile, releaseJob, writeJobProgress } from './jobs.ts';

/** How a line of a file and a device are turned into each other. */
export type LineForm = {
  /** Throws Refusal for what is no device. A deletion needs no more than an id. */
  read(line: string, deletion: boolean): Omit<Exclude<BulkLine, { problem: string }>, 'line'>;
  /** Without a line break. */
  write(device: Device): string;
};

export type JobSignal =
  | { readonly name: 'hub.failed'; readonly error: unknown }
  | {
      readonly name: 'hub.job-ended';
      readonly hub: string;
      readonly type: string;
      readonly state: string;
      readonly lines: number;
      readonly failed: number;
    };
export type JobDeps = {
  readonly database: Database;
  readonly forms: Readonly<Record<JobForm, LineForm>>;
  readonly now: () => Date;
  readonly emit: Emit<JobSignal>;
  /** The run of the node, which its jobs are claimed for. */
  readonly run?: number | undefined;
};

const pollMs = 5_000;
const exportedAtOnce = 2_000;
/** A job that fails again and again is not worth another try. */
const mostAttempts = 20;

export class HubJobs {
  readonly #deps: JobDeps;
  readonly #stop = new AbortController();
  readonly #poll: NodeJS.Timeout;
  #running: Promise<void> | undefined;
  /** Somebody called while the last look was on its way: it may have missed what they submitted. */
  #calledAgain = false;

  private constructor(deps: JobDeps) {
    this.#deps = deps;
    this.#poll = setInterval(() => this.wake(), pollMs);
  }

  static start(deps: JobDeps): HubJobs {
    const jobs = new HubJobs(deps);
    jobs.wake();
    return jobs;
  }

  /** Call after a job was submitted: without it, the next look comes within seconds. */
  wake(): void {
    this.#calledAgain = this.#running !== undefined;
    if (this.#stop.signal.aborted || this.#calledAgain) return;
    this.#running = this.#work()
      .catch((error: unknown) => this.#deps.emit({ name: 'hub.failed', error }))
      .finally(() => {
        this.#running = undefined;
        if (this.#calledAgain) this.wake();
      });
  }

  /** What is under way ends after its part, and goes on from there at the next start. */
  async stop(): Promise<void> {
    this.#stop.abort();
    clearInterval(this.#poll);
    await this.#running;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #work(): Promise<void> {
    for (;;) {
      if (this.#stop.signal.aborted) return;
      this.#calledAgain = false;
      const job = await claimJob(this.#deps.database, this.#deps.now(), this.#deps.run);
      if (job === undefined) return;
      await carryOut(this.#deps, job, this.#stop.signal);
    }
  }
}

async function carryOut(deps: JobDeps, job: Job, signal: AbortSignal): Promise<void> {
  const { database, now, emit } = deps;
  const { reached, lines: before, failed: failedBefore, total } = job;
  const first: JobProgress = { reached, lines: before, failed: failedBefore, total, state: 'Running' };
  let progress = job.attempt > mostAttempts ? failed(first, 'It was tried too often.') : await begin(deps, job, first);
  if (progress.state !== 'Running') await writeJobProgress(database, job, progress, now());
  while (progress.state === 'Running') {
    if (signal.aborted) return releaseJob(database, job);
    const next = await database.transaction((tx) => step(deps, tx, job, progress));
    // Another node has it by now.
    if (next === undefined) return;
    progress = next;
  }
  const { state, lines, failed: inVain } = progress;
  emit({ name: 'hub.job-ended', hub: job.hub, type: job.type, state, lines, failed: inVain });
}

async function begin({ database }: JobDeps, job: Job, progress: JobProgress): Promise<JobProgress> {
  if (job.type === 'ExportRegistrations')
    return { ...progress, total: await countDevices(database, job.hub, kindOf(job)) };
  const info = await fileInfo(database, job.hub, job.inputPath ?? '');
  if (info === undefined) return failed(progress, `There is no file "${job.inputPath ?? ''}".`);
  if (!info.whole) return failed(progress, `The file "${job.inputPath ?? ''}" was not uploaded to its end.`);
  return { ...progress, total: info.lines };
}

/** One part. Undefined when the job is somebody else's by now; the transaction has then written nothing that stays. */
async function step(deps: JobDeps, tx: Tx, job: Job, progress: JobProgress): Promise<JobProgress | undefined> {
  const now = deps.now();
  // First of all, so that of two workers one waits for the other and then finds that it is out.
  if (!(await writeJobProgress(tx, job, progress, now))) return undefined;
  const next = await (job.type === 'ExportRegistrations' ? exportPart : importPart)(deps, tx, job, progress, now);
  await writeJobProgress(tx, job, next, now);
  return next;
}

async function importPart(
  { forms }: JobDeps,
  tx: Tx,
  job: Job,
  progress: JobProgress,
  now: Date,
): Promise<JobProgress> {
  const number = Number(progress.reached || 0) + 1;
  const part = await readPart(tx, job.hub, job.inputPath!, number);
  if (part === undefined) return failed(progress, 'The file was removed while it was being read.');
  const texts = part.content.toString('utf8').split('\n');
  const deletion = job.type === 'ImportDeleteRegistrations';
  const read = texts.flatMap((text, i) =>
    text.trim() === '' ? [] : [readLine(forms[job.form], text.trim(), part.firstLine + i, deletion)],
  );
  const results = await writeBulk(tx, job.hub, job.type, read, now);
  const inVain = results.filter(({ problem }) => problem !== undefined).length;
  const lines = part.firstLine - 1 + part.lines;
  const last = lines >= progress.total;
  await writeResults(tx, job, results, { part: number, last }, now);
  const counted = { ...progress, reached: String(number), lines, failed: progress.failed + inVain };
  return last ? { ...counted, state: 'Completed' } : counted;
}

function readLine(form: LineForm, text: string, line: number, deletion: boolean): BulkLine {
  try {
    return { line, ...form.read(text, deletion) } as BulkLine; // the union with its line put back
  } catch (error) {
    // Whatever is wrong with a line is that line's fault: it goes on with the next.
    return { line, problem: (error as Error).message };
  }
}

/** Lines of comma-separated values: the number of the line, its device, and in the file of the failed ones why. */
async function writeResults(
  tx: Tx,
  { hub, ...job }: Job,
  results: readonly BulkResult[],
  part: { readonly part: number; readonly last: boolean },
  now: Date,
): Promise<void> {
  const done = results.filter(({ problem }) => problem === undefined).map(({ line, id }) => `${line},${id}\n`);
  const bad = results.flatMap(({ line, problem }) =>
    problem === undefined ? [] : [`${line},"${problem.replaceAll('"', '""').replace(/\s+/g, ' ')}"\n`],
  );
  const write = (name: 'Output.txt' | 'Failed.txt', lines: readonly string[]) =>
    writePart(tx, { hub, path: jobFile(job, name) }, { ...part, content: Buffer.from(lines.join('')) }, now);
  await write('Output.txt', done);
  await write('Failed.txt', bad);
}

async function exportPart(
  { forms }: JobDeps,
  tx: Tx,
  job: Job,
  progress: JobProgress,
  now: Date,
): Promise<JobProgress> {
  const range = { after: progress.reached, limit: exportedAtOnce };
  const devices = await listDevices(tx, { hub: job.hub, kind: kindOf(job) }, range, now);
  const content = Buffer.from(devices.map((device) => `${forms[job.form].write(device)}\n`).join(''));
  const last = devices.length < exportedAtOnce;
  const path = jobFile(job, 'Output.txt');
  const number = Math.floor(progress.lines / exportedAtOnce) + 1;
  await writePart(tx, { hub: job.hub, path }, { part: number, content, last }, now);
  const lines = progress.lines + devices.length;
  const counted = {
    ...progress,
    lines,
    total: Math.max(progress.total, lines),
    reached: devices.at(-1)?.id ?? progress.reached,
  };
  return last ? { ...counted, state: 'Completed', total: lines } : counted;
}

/** An installation has no words among the registrations. */
function kindOf({ form }: Job): 'registration' | undefined {
  return form === 'registration' ? 'registration' : undefined;
}

function failed(progress: JobProgress, failure: string): JobProgress {
  return { ...progress, state: 'Failed', failure };
}
