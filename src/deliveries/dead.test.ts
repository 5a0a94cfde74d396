import { afterEach, describe, expect, it } from 'vitest';
import { useDatabase } from '../../test/support/database.ts';
import { eventually } from '../../test/support/eventually.ts';
import { claimDue } from './claim.ts';
import { countDead, listDead, redrive } from './dead.ts';
import { Dispatcher } from './dispatcher.ts';
import { settle } from './settle.ts';
import { deliveryBacklog, OutcomeTally } from './statistics.ts';
import { plan, planned, ScriptedChannel } from './test-deliveries.ts';

const START = Date.UTC(2026, 0, 1);
const at = (ms: number) => new Date(START + ms);

describe('dead letters', () => {
  const { database } = useDatabase();
  afterEach(() => database.query('delete from delivery'));

  /** Plans deliveries and lets each die a second after the one before. */
  async function kill(cause: string, ...notices: string[]): Promise<string[]> {
    const ids = await plan(database, ...notices.map((notice) => planned(notice)));
    const claimed = await claimDue(database, { channel: 'email', limit: 5_000, now: at(0), leaseMs: 1_000 });
    const settlements = claimed.map((delivery, i) => ({
      delivery,
      verdict: { kind: 'dead' as const, reason: 'refused' as const, cause, detail: `said ${cause}` },
      at: at(i * 1_000),
      tookMs: 1,
    }));
    await settle(database, settlements);
    return ids;
  }

  it('are listed newest first, page by page, each once', async () => {
    await kill('full', 'a', 'b', 'c', 'd', 'e');
    const first = await listDead(database, { limit: 2 });
    const second = await listDead(database, { limit: 2, after: first.next });
    const third = await listDead(database, { limit: 2, after: second.next });
    expect([first, second, third].map((page) => page.items.length)).toEqual([2, 2, 1]);
    expect(third.next).toBeUndefined();
    const all = [first, second, third].flatMap((page) => page.items);
    expect(new Set(all.map((letter) => letter.id)).size).toBe(5);
    expect(all.map((letter) => letter.diedAt.getTime())).toEqual([4, 3, 2, 1, 0].map((s) => START + s * 1_000));
    expect(all[0]).toMatchObject({ reason: 'refused', cause: 'full', detail: 'said full', attempts: 1 });
  });

  it('are counted and filtered by cause', async () => {
    await kill('full', 'a', 'b');
    await kill('spam', 'c');
    expect(await countDead(database)).toEqual([
      { channel: 'email', reason: 'refused', cause: 'full', count: 2 },
      { channel: 'email', reason: 'refused', cause: 'spam', count: 1 },
    ]);
    expect((await listDead(database, { cause: 'spam' })).items.map((letter) => letter.noticeId)).toEqual(['c']);
    expect((await listDead(database, { channel: 'mobile' })).items).toEqual([]);
  });

  it('refuses a cursor that it did not give out', async () => {
    await expect(listDead(database, { after: "1.dlv_x' or true" })).rejects.toMatchObject({ code: 'bad_request' });
  });

  it('come back to life: one, those of a cause, or all; with a new age and no failures', async () => {
    const [a] = await kill('full', 'a', 'b');
    await kill('spam', 'c', 'd');
    expect(await redrive(database, { ids: [a!, 'dlv_unknown'] }, at(10_000))).toBe(1);
    expect(await redrive(database, { cause: 'spam' }, at(10_000))).toBe(2);
    expect(await redrive(database, { all: true, channel: 'mobile' }, at(10_000))).toBe(0);
    expect(await redrive(database, { all: true }, at(10_000))).toBe(1);
    expect(await redrive(database, { all: true }, at(10_000))).toBe(0);
    const rows = await database.query('select distinct state, failures, reason, planned_for, due_at from delivery');
    expect(rows).toEqual([
      { state: 'pending', failures: 0, reason: null, planned_for: at(10_000), due_at: at(10_000) },
    ]);
  });

  it('are redriven in chunks, however many there are, and then sent', async () => {
    await kill('full', ...Array.from({ length: 2_500 }, (_, i) => `n${i}`));
    const channel = new ScriptedChannel('email');
    const tally = new OutcomeTally();
    await using dispatcher = Dispatcher.start({ database, channels: [channel], emit: tally.listener });
    expect(await redrive(database, { all: true }, new Date())).toBe(2_500);
    dispatcher.wake();
    await eventually(() => expect(tally.counts()).toMatchObject([{ channel: 'email', delivered: 2_500, dead: 0 }]));
    expect(new Set(channel.seen).size).toBe(2_500);
  });

  it('show in the backlog beside what waits', async () => {
    await kill('full', 'a', 'b');
    await plan(
      database,
      planned('late', { dueAt: at(-5_000), urgency: 'low' }),
      planned('future', { dueAt: at(5_000) }),
    );
    expect(await deliveryBacklog(database, ['email', 'mobile'], at(0))).toEqual([
      { channel: 'email', pending: 2, dead: 2, oldestDueAt: at(-5_000) },
      { channel: 'mobile', pending: 0, dead: 0, oldestDueAt: null },
    ]);
  });
});
