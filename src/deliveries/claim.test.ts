import { describe, expect, it } from 'vitest';
import { useDatabase } from '../../test/support/database.ts';
import type { ClaimedDelivery } from './channel.ts';
import { CLAIM, claimDue, nextDue, renewLeases, takeBackDeliveries } from './claim.ts';
import type { Verdict } from './judge.ts';
import { type Settlement, settle } from './settle.ts';
import { plan, planned } from './test-deliveries.ts';

const at = (ms: number) => new Date(Date.UTC(2026, 0, 1) + ms);
const delivered: Verdict = { kind: 'delivered', providerId: 'p' };
const refused: Verdict = { kind: 'dead', reason: 'refused', cause: 'no', detail: undefined };

function settlement(delivery: ClaimedDelivery, verdict: Verdict, ms = 0): Settlement {
  return { delivery, verdict, at: at(ms), tookMs: 5 };
}

describe('claim and settle', () => {
  const { database } = useDatabase();
  const claim = (channel: 'email' | 'mobile' | 'conversation', ms: number, limit = 10) =>
    claimDue(database, { channel, limit, now: at(ms), leaseMs: 1_000 });

  it('takes the urgent before the older, and nothing before its time', async () => {
    await plan(
      database,
      planned('old', { dueAt: at(-5_000) }),
      planned('low', { dueAt: at(-9_000), urgency: 'low' }),
      planned('urgent', { dueAt: at(-10), urgency: 'high' }),
      planned('later', { dueAt: at(50_000), urgency: 'high' }),
      planned('older', { dueAt: at(-6_000) }),
      planned('elsewhere', { dueAt: at(-6_000), channel: 'mobile' }),
    );
    expect((await claim('email', 0, 2)).map((each) => each.noticeId)).toEqual(['urgent', 'older']);
    const rest = await claim('email', 0);
    expect(rest.map((each) => each.noticeId)).toEqual(['old', 'low']);
    expect(await claim('email', 0)).toEqual([]);
    expect(await nextDue(database, 'email', at(0))).toEqual(at(1_000));
    await settle(
      database,
      rest.map((each) => settlement(each, delivered)),
    );
    await database.query('delete from delivery');
  });

  it('never gives one delivery to two workers that claim at the same time', async () => {
    const ids = await plan(database, ...Array.from({ length: 500 }, (_, i) => planned(`race-${i}`)));
    const claims = await Promise.all(Array.from({ length: 8 }, () => claim('email', 0, 90)));
    const taken = claims.flat().map((each) => each.id);
    expect(new Set(taken).size).toBe(taken.length);
    const rest = await claim('email', 0, 500);
    expect(new Set([...taken, ...rest.map((each) => each.id)])).toEqual(new Set(ids));
    await database.query('delete from delivery');
  });

  it('gives what a dead run held to the next at once, the first time, counted as a failure', async () => {
    await plan(database, planned('held'), planned('settled'), planned('other'));
    const byRun = (ms: number, run: number, limit = 10) =>
      claimDue(database, { channel: 'email', limit, now: at(ms), leaseMs: 1_000, run });
    const [, settled] = await byRun(0, 1, 2);
    const [other] = await byRun(0, 2);
    const back: Verdict = { kind: 'back', dueAt: at(500), cause: undefined };
    await settle(database, [settlement(settled!, back)]);
    const [again] = await byRun(500, 2);
    expect(again!.id).toBe(settled!.id);
    const takeBack = (ms: number) => database.transaction((tx) => takeBackDeliveries(tx, [1], at(ms)));
    await takeBack(600);
    const [held] = await byRun(600, 1);
    expect(held).toMatchObject({ noticeId: 'held', attempt: 2, failures: 1 });
    await takeBack(700);
    expect(await byRun(700, 3)).toEqual([]);
    expect((await byRun(1_600, 3)).map(({ noticeId }) => noticeId).sort()).toEqual(['held', 'other', 'settled']);
    expect(other!.noticeId).toBe('other');
    await database.query('delete from delivery');
  });

  it('a worker whose lease lapsed cannot overwrite its successor’s verdict', async () => {
    const [id] = await plan(database, planned('lapsed'));
    const [slow] = await claim('email', 0);
    expect(await claim('email', 999)).toEqual([]);
    const [successor] = await claim('email', 1_000);
    expect(successor).toMatchObject({ id, attempt: 2, failures: 1 });
    expect(await settle(database, [settlement(slow!, delivered)])).toEqual(new Set());
    expect(await settle(database, [settlement(successor!, refused)])).toEqual(new Set([id]));
    expect(await settle(database, [settlement(slow!, delivered)])).toEqual(new Set());
    expect(await database.query('select state, cause from delivery where id = $1', [id])).toEqual([
      { state: 'dead', cause: 'no' },
    ]);
    expect(await database.query('select attempt, outcome from attempt where delivery_id = $1', [id])).toEqual([
      { attempt: 2, outcome: 'dead' },
    ]);
    await database.query('delete from delivery');
  });

  it('settles a lapsed lease that nobody has taken, so that what was sent is not sent again', async () => {
    const [id] = await plan(database, planned('late'));
    const [only] = await claim('email', 0);
    expect(await settle(database, [settlement(only!, delivered, 60_000)])).toEqual(new Set([id]));
    expect(await claim('email', 60_000)).toEqual([]);
  });

  it('does nothing when the same settlement is repeated after a commit in doubt', async () => {
    const [id] = await plan(database, planned('doubt'));
    const [claimed] = await claim('email', 0);
    const retry: Verdict = { kind: 'retry', dueAt: at(500), cause: 'busy', detail: 'x' };
    expect(await settle(database, [settlement(claimed!, retry)])).toEqual(new Set([id]));
    expect(await settle(database, [settlement(claimed!, retry)])).toEqual(new Set());
    expect(await database.query('select failures, due_at, cause from delivery where id = $1', [id])).toEqual([
      { failures: 1, due_at: at(500), cause: 'busy' },
    ]);
    expect(await database.query('select 1 from attempt where delivery_id = $1', [id])).toHaveLength(1);
    await database.query('delete from delivery');
  });

  it('gives back without counting and without a trace', async () => {
    const [id] = await plan(database, planned('back'));
    const [claimed] = await claim('email', 0);
    await settle(database, [settlement(claimed!, { kind: 'back', dueAt: undefined, cause: 'down' })]);
    const [again] = await claim('email', 0);
    expect(again).toMatchObject({ id, attempt: 2, failures: 0 });
    expect(await database.query('select 1 from attempt where delivery_id = $1', [id])).toEqual([]);
    await database.query('delete from delivery');
  });

  it('keeps a renewed lease from lapsing, and renews none that has been taken', async () => {
    await plan(database, planned('renewed'));
    const held = await claim('email', 0);
    await renewLeases(database, held, at(5_000));
    await renewLeases(database, held, at(4_000)); // an earlier one that arrives late
    expect(await claim('email', 4_999)).toEqual([]);
    expect(await claim('email', 5_000)).toHaveLength(1);
    await renewLeases(database, held, at(90_000));
    expect(await claim('email', 6_000)).toHaveLength(1);
    await database.query('delete from delivery');
  });

  it('stores what foreign servers say even where PostgreSQL could not', async () => {
    await plan(database, planned('nul'));
    const [claimed] = await claim('email', 0);
    const verdict: Verdict = { kind: 'dead', reason: 'refused', cause: 'a\0b', detail: `\ud800${'x'.repeat(5_000)}` };
    expect((await settle(database, [settlement(claimed!, verdict)])).size).toBe(1);
    await database.query('delete from delivery');
  });

  it('claims by the index, in order, without sorting the backlog', async () => {
    await plan(database, ...Array.from({ length: 3_000 }, (_, i) => planned(`plan-${i}`, { channel: 'conversation' })));
    await database.query('analyze delivery');
    const explained = await database.transaction(async (tx) => {
      const values = ['conversation', at(0), 100, at(1_000), 1];
      return tx.query<{ 'QUERY PLAN': string }>(`explain ${CLAIM.text}`, values);
    });
    const text = explained.map((row) => row['QUERY PLAN']).join('\n');
    expect(text).toContain('using delivery_due');
    expect(text).not.toMatch(/Sort|Seq Scan on delivery/);
  });

  it('claims without touching an index: every row version finds room on its page (HOT)', async () => {
    await plan(database, ...Array.from({ length: 2_000 }, (_, i) => planned(`hot-${i}`, { channel: 'mobile' })));
    const counts = `select n_tup_upd as updated, n_tup_hot_upd as hot
      from pg_stat_xact_user_tables where relname = 'delivery'`;
    type Counts = { updated: number; hot: number };
    const [before, after] = await database.transaction(async (tx) => {
      const [start] = await tx.query<Counts>(counts);
      await claimDue(tx, { channel: 'mobile', limit: 2_000, now: at(0), leaseMs: 1_000 });
      return [start!, (await tx.query<Counts>(counts))[0]!];
    });
    expect(after.updated - before.updated).toBe(2_000);
    expect(after.hot - before.hot).toBe(2_000);
  });
});
