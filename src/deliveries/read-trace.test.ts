import { describe, expect, it } from 'vitest';
import { useDatabase } from '../../test/support/database.ts';
import type { ChannelName } from './channel.ts';
import { claimDue } from './claim.ts';
import type { Verdict } from './judge.ts';
import { traceOfEvent, traceOfRecipient } from './read-trace.ts';
import { settle } from './settle.ts';
import { plan, planned } from './test-deliveries.ts';
import { PLANNED, type TraceRow, writeTrace } from './trace.ts';

const at = (ms: number) => new Date(Date.UTC(2026, 0, 1) + ms);

function row(over: Partial<TraceRow>): TraceRow {
  const event = { topic: 'hr', partition: 0, sequence: 7, eventId: 'evt-7', notification: 'joined' };
  const step = { recipientId: null, noticeId: null, step: 'match', outcome: 'matched', detail: null, at: at(0) };
  return { ...event, ...step, ...over };
}

describe('reading the trace', () => {
  const { database } = useDatabase();
  const write = (...rows: TraceRow[]) => database.transaction((tx) => writeTrace(tx, rows));
  const sent = (recipientId: string, noticeId: string, channel: ChannelName = 'email') =>
    row({ recipientId, noticeId, channel, step: 'channel', outcome: PLANNED });

  async function attempt(verdict: Verdict, ms: number) {
    const claimed = await claimDue(database, { channel: 'email', limit: 9, now: at(ms), leaseMs: 1_000 });
    await settle(
      database,
      claimed.map((delivery) => ({ delivery, verdict, at: at(ms), tookMs: 3 })),
    );
  }

  it('tells the story of an event: what was decided, and what came of each delivery', async () => {
    await write(
      row({}),
      sent('ada', 'ntc_ada'),
      row({ recipientId: 'bob', channel: 'email', step: 'preference', outcome: 'off', detail: 'hr by email is off' }),
    );
    await plan(database, planned('ntc_ada', { recipientId: 'ada' }));
    await attempt({ kind: 'retry', dueAt: at(20), cause: 'smtp_451', detail: 'Greylisted' }, 10);
    await attempt({ kind: 'delivered', providerId: 'x' }, 20);

    const bySequence = await traceOfEvent(database, { topic: 'hr', sequence: 7 });
    const told = bySequence.items.map(({ recipientId, step, outcome, detail }) => [recipientId, step, outcome, detail]);
    expect(told).toEqual([
      [null, 'match', 'matched', null],
      ['ada', 'channel', 'planned', null],
      ['ada', 'attempt', 'retry', 'smtp_451: Greylisted'],
      ['ada', 'attempt', 'delivered', null],
      ['bob', 'preference', 'off', 'hr by email is off'],
    ]);
    expect(bySequence.items[2]).toMatchObject({ topic: 'hr', sequence: 7, eventId: 'evt-7', notification: 'joined' });
    expect(Object.keys(bySequence.items[2]!).sort()).toEqual(Object.keys(bySequence.items[1]!).sort());
    expect(await traceOfEvent(database, { topic: 'hr', eventId: 'evt-7' })).toEqual(bySequence);
    expect((await traceOfEvent(database, { topic: 'hr', eventId: 'unknown' })).items).toEqual([]);
    expect((await traceOfEvent(database, { topic: 'finance', sequence: 7 })).items).toEqual([]);
  });

  it('pages through a large event without losing or repeating a step', async () => {
    const many = Array.from({ length: 25 }, (_, i) => row({ sequence: 8, eventId: 'evt-8', recipientId: `r${i}` }));
    await write(...many);
    const seen: (string | null)[] = [];
    for (let after: string | undefined, pages = 0; pages === 0 || after !== undefined; pages++) {
      const page = await traceOfEvent(database, { topic: 'hr', sequence: 8 }, { after, limit: 10 });
      seen.push(...page.items.map((step) => step.recipientId));
      after = page.next;
    }
    expect(seen).toEqual(many.map((each) => each.recipientId));
  });

  it('tells a recipient’s story newest first, decisions and attempts merged, and pages through it', async () => {
    for (let i = 0; i < 6; i++) {
      await write({ ...sent('eve', `ntc_eve${i}`), sequence: 100 + i, eventId: `e${i}`, at: at(1_000 * i) });
      await plan(database, planned(`ntc_eve${i}`, { recipientId: 'eve', dueAt: at(1_000 * i) }));
      await attempt({ kind: 'delivered', providerId: undefined }, 1_000 * i); // at the same millisecond as the plan
    }
    const whole = await traceOfRecipient(database, 'eve', { limit: 100 });
    expect(whole.items.map((step) => [step.at.getTime() - at(0).getTime(), step.step])).toEqual(
      [5, 4, 3, 2, 1, 0].flatMap((i) => [
        [1_000 * i, 'attempt'],
        [1_000 * i, 'channel'],
      ]),
    );
    const paged = [];
    for (let after: string | undefined, pages = 0; pages === 0 || after !== undefined; pages++) {
      const page = await traceOfRecipient(database, 'eve', { after, limit: 5 });
      paged.push(...page.items);
      after = page.next;
    }
    expect(paged).toEqual(whole.items);
    await expect(traceOfRecipient(database, 'eve', { after: 'x' })).rejects.toMatchObject({ code: 'bad_request' });
  });
});
