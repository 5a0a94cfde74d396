// Imports and exports of devices, as they are kept:
//   Started --claim--> Running --last part--> Completed          whoever claims holds it until `leased_until`
//                         |--- input is no file, hub gone --> Failed
//                         `-- lease lapses --> claimed again, goes on after the last part that was written down

import { type Sql, statement } from '../kit/database.ts';
import { freshId } from '../kit/ids.ts';

export const jobTypes = [
  'ExportRegistrations',
  'ImportCreateRegistrations',
  'ImportUpdateRegistrations',
  'ImportDeleteRegistrations',
  'ImportUpsertRegistrations',
] as const;
export type JobType = (typeof jobTypes)[number];
/** What a line is: an Atom entry of a registration, or a device as the API shows it. */
export type JobForm = 'registration' | 'device';
export type JobState = 'Started' | 'Running' | 'Completed' | 'Failed';

export type NewJob = {
  readonly hub: string;
  readonly type: JobType;
  readonly form: JobForm;
  /** As the client gave them; told again to whoever asks. */
  readonly outputUri?: string | undefined;
  readonly inputUri?: string | undefined;
  /** The file of this hub that an import reads. */
  readonly inputPath?: string | undefined;
};

export type Job = NewJob & {
  readonly id: string;
  readonly state: JobState;
  readonly attempt: number;
  readonly reached: string;
  /** Done so far, of them in vain, and how many there are in all. */
  readonly lines: number;
  readonly failed: number;
  readonly total: number;
  readonly failure: string | undefined;
  readonly createdAt: Date;
  readonly updatedAt: Date;
};

export type JobProgress = Pick<Job, 'reached' | 'lines' | 'failed' | 'total' | 'state'> & { readonly failure?: string };

const leaseMs = 60_000;
const columns = `hub, id, type, form, state, attempt, output_uri, input_uri, input_path, reached, lines, failed, total, failure,
  created_at, updated_at`;

const insertJob = statement(
  'hub.job-insert',
  `insert into hub_job (hub, id, type, form, output_uri, input_uri, input_path, created_at, updated_at)
   values ($1, $2, $3, $4, $5, $6, $7, $8, $8) returning ${columns}`,
);
const findOne = statement('hub.job-find', `select ${columns} from hub_job where hub = $1 and id = $2`);
const listAll = statement(
  'hub.job-list',
  `select ${columns} from hub_job where hub = $1 order by created_at desc, id desc limit $2`,
);
const claimOne = statement(
  'hub.job-claim',
  `update hub_job set state = 'Running', attempt = attempt + 1, leased_until = $2, claimed_by = $3, updated_at = $1
   where (hub, id) = (select hub, id from hub_job
     where state in ('Started', 'Running') and (leased_until is null or leased_until < $1)
     order by created_at limit 1 for update skip locked)
   returning ${columns}`,
);
const writeProgress = statement(
  'hub.job-progress',
  `update hub_job set reached = $4, lines = $5, failed = $6, total = $7, state = $8, failure = $9, updated_at = $10,
     leased_until = $11
   where hub = $1 and id = $2 and attempt = $3 and state = 'Running' returning id`,
);
const letGo = statement(
  'hub.job-let-go',
  `update hub_job set leased_until = null where hub = $1 and id = $2 and attempt = $3`,
);

const takeBack = statement(
  'hub.job-take-back',
  `update hub_job set leased_until = null where state = 'Running' and claimed_by = any($1::int[])`,
);

type JobRow = {
  readonly hub: string;
  readonly id: string;
  readonly type: JobType;
  readonly form: JobForm;
  readonly state: JobState;
  readonly attempt: number;
  readonly output_uri: string;
  readonly input_uri: string | null;
  readonly input_path: string | null;
  readonly reached: string;
  readonly lines: number;
  readonly failed: number;
  readonly total: number;
  readonly failure: string | null;
  readonly created_at: Date;
  readonly updated_at: Date;
};

export async function submitJob(sql: Sql, job: NewJob, now: Date): Promise<Job> {
  const { hub, type, form, outputUri = '', inputUri = null, inputPath = null } = job;
  const id = freshId('job', now.getTime());
  const [row] = await sql.query<JobRow>(insertJob, [hub, id, type, form, outputUri, inputUri, inputPath, now]);
  return jobOf(row!);
}

export async function findJob(sql: Sql, hub: string, id: string): Promise<Job | undefined> {
  const [row] = await sql.query<JobRow>(findOne, [hub, id]);
  return row && jobOf(row);
}

/** Newest first. */
export async function listJobs(sql: Sql, hub: string, limit = 100): Promise<Job[]> {
  return (await sql.query<JobRow>(listAll, [hub, limit])).map(jobOf);
}

/** `run`: the run of the node that claims it (kit/run.ts). */
export async function claimJob(sql: Sql, now: Date, run?: number): Promise<Job | undefined> {
  const [row] = await sql.query<JobRow>(claimOne, [now, new Date(now.getTime() + leaseMs), run ?? null]);
  return row && jobOf(row);
}

/** Makes due the jobs that runs which are dead were at; wake the worker after the commit. */
export async function takeBackJobs(sql: Sql, runs: readonly number[]): Promise<void> {
  await sql.query(takeBack, [runs]);
}

/** False: another node has it by now, and this one must stop. */
export async function writeJobProgress(sql: Sql, job: Job, progress: JobProgress, now: Date): Promise<boolean> {
  const { reached, lines, failed, total, state, failure = null } = progress;
  const lease = new Date(now.getTime() + leaseMs);
  const values = [job.hub, job.id, job.attempt, reached, lines, failed, total, state, failure, now, lease];
  return (await sql.query(writeProgress, values)).length > 0;
}

/** For the next who looks, instead of after the lease. */
export async function releaseJob(sql: Sql, { hub, id, attempt }: Job): Promise<void> {
  await sql.query(letGo, [hub, id, attempt]);
}

/** Where a job's files are: `Output.txt` and, if some lines were in vain, `Failed.txt`. */
export function jobFile({ id }: Pick<Job, 'id'>, name: 'Output.txt' | 'Failed.txt'): string {
  return `${id}/${name}`;
}

function jobOf(row: JobRow): Job {
  return {
    hub: row.hub,
    id: row.id,
    type: row.type,
    form: row.form,
    state: row.state,
    attempt: row.attempt,
    outputUri: row.output_uri,
    inputUri: row.input_uri ?? undefined,
    inputPath: row.input_path ?? undefined,
    reached: row.reached,
    lines: row.lines,
    failed: row.failed,
    total: row.total,
    failure: row.failure ?? undefined,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}
