// What is kept of sends, jobs and feedback for a while: so that people can see what became of them, and no longer.

import { type Database, statement } from '../kit/database.ts';

const atOnce = 5_000;
// In portions, so that no transaction holds its locks for long; what a send wrote down goes with it.
const forgetSends = statement(
  'hub.forget-sends',
  `delete from hub_send where (hub, id) in (select hub, id from hub_send where ended_at < $1 limit 200) returning 1`,
);
const forgetJobs = statement(
  'hub.forget-jobs',
  `delete from hub_job where state in ('Completed', 'Failed') and updated_at < $1`,
);
const forgetFiles = statement(
  'hub.forget-files',
  `delete from hub_file where (hub, path, part) in (select hub, path, part from hub_file as file where created_at < $1
     and not exists (select from hub_job where hub_job.hub = file.hub and input_path = file.path and state in ('Started', 'Running'))
     limit 100) returning 1`,
);
const forgetFeedback = statement(
  'hub.forget-feedback',
  `delete from hub_feedback where number in (select number from hub_feedback where at < $1 limit ${atOnce}) returning 1`,
);

export async function forgetHubHistory(
  database: Database,
  { now, keepDays, signal }: { readonly now: Date; readonly keepDays: number; readonly signal?: AbortSignal },
): Promise<void> {
  const before = new Date(now.getTime() - keepDays * 86_400_000);
  await database.query(forgetJobs, [before]);
  for (const portion of [forgetSends, forgetFiles, forgetFeedback]) {
    let rows = [];
    do rows = await database.query(portion, [before]);
    while (rows.length > 0 && !signal?.aborted);
  }
}
