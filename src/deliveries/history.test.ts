import { describe, expect, it } from 'vitest';
import { useDatabase } from '../../test/support/database.ts';
import { keepHistory } from './history.ts';
import { writeTrace } from './trace.ts';

const DAY = 86_400_000;
const today = Date.UTC(2026, 2, 10, 15);

describe('history', () => {
  const { database } = useDatabase();
  const keep = (days: number, keepDays: number) =>
    keepHistory(database, { now: new Date(today + days * DAY), keepDays });

  async function trace(days: number, eventId: string) {
    const event = { topic: 'hr', partition: 0, sequence: 1, eventId, notification: null, recipientId: null };
    const row = { ...event, noticeId: null, step: 'match', outcome: 'none', detail: null };
    await database.transaction((tx) => writeTrace(tx, [{ ...row, at: new Date(today + days * DAY) }]));
  }

  const places = () =>
    database.query<{ place: string; event_id: string }>(
      'select tableoid::regclass::text as place, event_id from trace order by at',
    );

  it('has a place for every row, made ahead, and moves what came before its place was made', async () => {
    await trace(0, 'early');
    expect(await places()).toEqual([{ place: 'trace_default', event_id: 'early' }]);
    const report = await keep(0, 30);
    expect(report.made).toContain('trace_20260310');
    expect(report.made).toContain('attempt_20260313');
    await trace(1, 'tomorrow');
    expect(await places()).toEqual([
      { place: 'trace_20260310', event_id: 'early' },
      { place: 'trace_20260311', event_id: 'tomorrow' },
    ]);
    expect(await keep(0, 30)).toEqual({ made: [], dropped: [], busy: [] });
  });

  it('forgets by dropping whole days, and only those that are too old', async () => {
    const report = await keep(31, 30);
    expect(report.dropped.sort()).toEqual(['attempt_20260310', 'trace_20260310']);
    expect((await places()).map((each) => each.event_id)).toEqual(['tomorrow']);
  });

  it('keeps every index on the new days', async () => {
    const explained = await database.query<{ 'QUERY PLAN': string }>(
      `explain select 1 from trace where topic = 'hr' and sequence = 1 and at >= '2026-03-11' and at < '2026-03-12'`,
    );
    expect(explained.map((line) => line['QUERY PLAN']).join('\n')).toContain('trace_20260311');
    const indexes = await database.query("select 1 from pg_indexes where tablename = 'trace_20260311'");
    expect(indexes).toHaveLength(3);
  });

  it('is done once when several nodes do it at the same time', async () => {
    const reports = await Promise.all(Array.from({ length: 4 }, () => keep(40, 30)));
    expect(reports.every((report) => report.busy.length === 0)).toBe(true);
    await trace(40, 'after');
    expect((await places()).at(-1)!.place).toBe('trace_20260419');
  });

  it('leaves a day that somebody is reading to the next run instead of blocking the writers', async () => {
    await database.transaction(async (tx) => {
      await tx.query('select count(*) from trace_20260411');
      const report = await keep(75, 30);
      expect(report.busy).toContain('trace_20260411');
    });
    expect((await keep(75, 30)).dropped).toContain('trace_20260411');
  });
});
