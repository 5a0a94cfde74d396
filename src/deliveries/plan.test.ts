import { describe, expect, it } from 'vitest';
import { useDatabase } from '../../test/support/database.ts';
import { deliveryId, type PlannedDelivery, planDeliveries } from './plan.ts';
import { writeTrace } from './trace.ts';

const plan = (over: Partial<PlannedDelivery> = {}): PlannedDelivery => ({
  noticeId: 'ntc_1',
  recipientId: 'ada',
  channel: 'email',
  endpoint: 'ada@example.org',
  dueAt: new Date('2026-01-02T03:04:05Z'),
  urgency: 'normal',
  ...over,
});

describe('planning', () => {
  const { database } = useDatabase();

  it('writes all deliveries at once, with the ids that follow from what they are', async () => {
    const plans = [plan(), plan({ channel: 'mobile', endpoint: null, urgency: 'high' })];
    await database.transaction((tx) => planDeliveries(tx, plans));
    const rows = await database.query(
      'select id, channel, endpoint, urgency, state, due_at from delivery order by channel',
    );
    expect(rows).toEqual(
      plans.map((each) => ({
        id: deliveryId(each),
        channel: each.channel,
        endpoint: each.endpoint,
        urgency: each.urgency === 'high' ? 2 : 1,
        state: 'pending',
        due_at: each.dueAt,
      })),
    );
  });

  it('makes no second delivery when the same is planned twice', async () => {
    const same = plan({ noticeId: 'ntc_2' });
    await database.transaction((tx) => planDeliveries(tx, [same, same]));
    await database.transaction((tx) => planDeliveries(tx, [same]));
    expect(await database.query("select id from delivery where notice_id = 'ntc_2'")).toHaveLength(1);
  });

  it('is undone with its transaction', async () => {
    const work = database.transaction(async (tx) => {
      await planDeliveries(tx, [plan({ noticeId: 'ntc_3' })]);
      throw new Error('no');
    });
    await expect(work).rejects.toThrow('no');
    expect(await database.query("select id from delivery where notice_id = 'ntc_3'")).toEqual([]);
  });

  it('appends trace rows', async () => {
    const at = new Date('2026-01-02T03:04:05Z');
    const row = { topic: 'hr', partition: 0, sequence: 2 ** 40, eventId: 'e1', notification: 'joined', at };
    await database.transaction((tx) =>
      writeTrace(tx, [
        { ...row, recipientId: null, noticeId: null, step: 'match', outcome: 'matched', detail: null },
        { ...row, recipientId: 'ada', noticeId: 'n', channel: 'email', step: 'plan', outcome: 'planned', detail: 'x' },
      ]),
    );
    expect(await database.query('select sequence, recipient_id, channel, outcome from trace order by id')).toEqual([
      { sequence: 2 ** 40, recipient_id: null, channel: null, outcome: 'matched' },
      { sequence: 2 ** 40, recipient_id: 'ada', channel: 'email', outcome: 'planned' },
    ]);
  });
});
