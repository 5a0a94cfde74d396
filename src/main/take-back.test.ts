// What a run of a node takes back of the runs before it, and what an upgrade to the schema that knows runs does to work
// that an older version has claimed (migrations/0031-runs.sql).
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { useDatabase } from '../../test/support/database.ts';
import { claimWork, renewWork, takeBackWork } from '../assistant/decisions/work.ts';
import { claimEdits, recordPosted, requestEdits, settleEdits, takeBackEdits } from '../assistant/posted.ts';
import { claimDue, takeBackDeliveries } from '../deliveries/claim.ts';
import { plan, planned } from '../deliveries/test-deliveries.ts';
import { claimJob, submitJob, takeBackJobs } from '../hub/jobs.ts';
import type { Database } from '../kit/database.ts';
import { migrate } from '../kit/migrate.ts';
import { beginRun, endRun, takeBack } from '../kit/run.ts';

const at = (ms: number) => new Date(Date.UTC(2026, 0, 1) + ms);

/** A settled question whose backend and surfaces have to hear of it. */
async function settled(database: Database, id: string): Promise<void> {
  await database.query(
    `insert into question (id, topic, partition, sequence, event_id, notification, created_at, state, settled_at)
     values ($1, 't', 0, 1, 'e', 'n', $2, 'expired', $2)`,
    [id, at(0)],
  );
  await database.query("insert into question_work (question_id, kind, due_at) values ($1, 'tell', $2)", [id, at(0)]);
}

async function posted(database: Database, noticeId: string): Promise<void> {
  const place = { recipientId: 'ada', channel: 'directline', connection: 'main', place: 'c' } as const;
  const card = { ...place, noticeId, deliveryId: `dlv_${noticeId}`, activityId: 'a', postedAt: at(0) };
  await recordPosted(database, [card]);
  await requestEdits(database, [card], at(0));
}

describe('a run of a node', () => {
  const { database } = useDatabase();
  const edits = (ms: number, run: number, limit = 10) => claimEdits(database, limit, at(ms), at(ms + 60_000), run);
  const works = (ms: number, run: number, limit = 10) => claimWork(database, at(ms), at(ms + 30_000), limit, run);

  it('knows the earlier ones of its node that did not end in peace, and no others', async () => {
    const first = await beginRun(database, 'one');
    const stranger = await beginRun(database, 'two');
    const second = await beginRun(database, 'one');
    expect([first.earlier, stranger.earlier, second.earlier]).toEqual([[], [], [first.number]]);
    await endRun(database, second);
    const third = await beginRun(database, 'one');
    expect(third.earlier).toEqual([first.number]);
    const told: unknown[] = [];
    const kind = async (_: unknown, runs: readonly number[]) => void told.push(runs);
    expect(await takeBack(database, third, [kind])).toBe(true);
    expect(told).toEqual([[first.number]]);
    const fourth = await beginRun(database, 'one');
    expect(fourth.earlier).toEqual([third.number]);
    expect(await takeBack(database, stranger, [kind])).toBe(false);
  });

  it('takes back the jobs of hubs that the one before was at, and no others', async () => {
    await database.query("insert into hub (name, sealed, created_at, updated_at) values ('jobs', '', now(), now())");
    const job = { hub: 'jobs', type: 'ExportRegistrations', form: 'device' } as const;
    for (const ms of [0, 1]) await submitJob(database, job, at(ms));
    const [dead, other] = [await claimJob(database, at(2), 1), await claimJob(database, at(2), 2)];
    expect(dead!.id).not.toBe(other!.id);
    expect(await claimJob(database, at(3), 3)).toBeUndefined();
    await takeBackJobs(database, [1]);
    expect(await claimJob(database, at(3), 3)).toMatchObject({ id: dead!.id, attempt: 2 });
    expect(await claimJob(database, at(2), 3)).toBeUndefined();
  });

  it('takes back the edits that the one before was making, not those that wait for their time', async () => {
    for (const id of ['dead', 'paced', 'other']) await posted(database, id);
    const [first, second] = await edits(1, 1, 2);
    await edits(2, 2);
    await settleEdits(database, [[second!, { dueAt: at(40_000), failures: 1 }]]);
    await database.transaction((tx) => takeBackEdits(tx, [1], at(100)));
    const again = await edits(100, 3);
    expect(again.map(({ card }) => card.noticeId)).toEqual([first!.card.noticeId]);
    // What the dead run would have settled is not its any more.
    await settleEdits(database, [[first!, { editedAt: at(101), failures: 0 }]]);
    expect(await edits(60_100, 3)).toContainEqual(again[0] && { ...again[0], claimedUntil: at(120_100) });
  });

  it('takes back the answers that the one before was carrying out, where it had come to', async () => {
    await settled(database, 'q1');
    await settled(database, 'q2');
    const [work] = await works(1, 1, 1);
    await renewWork(database, { ...work!, afterId: 'bob' }, at(30_000));
    await works(2, 2);
    await database.transaction((tx) => takeBackWork(tx, [1], at(100)));
    expect(await works(100, 3)).toMatchObject([
      { question: { id: work!.question.id }, attempt: 2, triedAt: at(1), afterId: 'bob' },
    ]);
  });
});

describe('an upgrade', () => {
  const { database } = useDatabase('template0');
  const migrations = new URL('../../migrations', import.meta.url).pathname;

  it('rewrites no table, and leaves what an older version had claimed to the end of its lease', async () => {
    const older = await mkdtemp(join(tmpdir(), 'carillon-migrations-'));
    const isOlder = (path: string) => !path.endsWith('.sql') || basename(path) < '0031-runs.sql';
    await cp(migrations, older, { recursive: true, filter: isOlder });
    await migrate(database, older);
    await rm(older, { recursive: true });
    await plan(database, planned('claimed'), planned('waits', { dueAt: at(500) }));
    await database.query('update delivery set attempt = 1, leased_until = $2 where notice_id = $1', [
      'claimed',
      at(1_000),
    ]);
    await settled(database, 'q');
    await posted(database, 'n');
    const tables = ['delivery', 'question_work', 'posted_card', 'subscription'];
    const files = () =>
      database.query('select relname, relfilenode from pg_class where relname = any($1) order by relname', [tables]);
    const before = await files();
    await migrate(database, migrations);
    expect(await files()).toEqual(before);
    const run = await beginRun(database, 'one');
    await takeBack(database, { ...run, earlier: [run.number + 1] }, [takeBackDeliveries, takeBackEdits, takeBackWork]);
    const claim = async (ms: number) => {
      const input = { channel: 'email', limit: 9, now: at(ms), leaseMs: 10_000, run: run.number } as const;
      return (await claimDue(database, input)).map(({ noticeId, failures }) => [noticeId, failures]);
    };
    expect(await claim(500)).toEqual([['waits', 0]]);
    expect(await claim(1_000)).toEqual([['claimed', 1]]);
    expect(await claimWork(database, at(1), at(2), 9, run.number)).toHaveLength(1);
    expect(await claimEdits(database, 9, at(1), at(2), run.number)).toHaveLength(1);
  });
});
