import { afterEach, describe, expect, it } from 'vitest';
import { useDatabase } from '../../test/support/database.ts';
import { eventually } from '../../test/support/eventually.ts';
import { ManualClock } from '../../test/support/manual-clock.ts';
import type { Outcome } from './channel.ts';
import { claimDue } from './claim.ts';
import { Dispatcher, type DispatcherDeps } from './dispatcher.ts';
import type { LanePolicy } from './policy.ts';
import type { GoneEndpoint } from './settle.ts';
import type { DeliverySignal } from './signals.ts';
import { plan, planned, ScriptedChannel } from './test-deliveries.ts';

const delivered: Outcome = { kind: 'delivered', providerId: undefined };
const down: Outcome = { kind: 'down', cause: 'connection_refused' };
const retry = (retryAfterMs?: number): Outcome => ({ kind: 'retry', cause: 'busy', retryAfterMs });

describe('dispatcher', () => {
  const { database } = useDatabase();
  const open: Dispatcher[] = [];
  const clock = new ManualClock();

  function start(channel: ScriptedChannel, policy: Partial<LanePolicy> = {}, more: Partial<DispatcherDeps> = {}) {
    const signals: DeliverySignal[] = [];
    const emit = (signal: DeliverySignal) => void signals.push(signal);
    const base = { database, channels: [channel], emit, clock, dice: () => 0.5, policy: { [channel.name]: policy } };
    const dispatcher = Dispatcher.start({ ...base, ...more });
    open.push(dispatcher);
    const named = <N extends DeliverySignal['name']>(name: N) =>
      signals.filter((signal): signal is Extract<DeliverySignal, { name: N }> => signal.name === name);
    return { dispatcher, signals, named };
  }

  const pending = async () => (await database.query('select id from delivery')).length;

  afterEach(async () => {
    for (const dispatcher of open.splice(0)) await dispatcher.stop();
    await database.query('delete from delivery');
  });

  it('sends what is due as soon as it is woken, and leaves only its attempt behind', async () => {
    const channel = new ScriptedChannel('email');
    const { dispatcher, named } = start(channel);
    const [id] = await plan(database, planned('one'));
    dispatcher.wake();
    await eventually(() => expect(named('delivery.attempted')).toHaveLength(1));
    expect(channel.seen).toEqual(['one']);
    expect(await pending()).toBe(0);
    expect(await database.query('select outcome, attempt from attempt where delivery_id = $1', [id])).toEqual([
      { outcome: 'delivered', attempt: 1 },
    ]);
  });

  it('drains a backlog in batches, each delivery once', async () => {
    const channel = new ScriptedChannel('email');
    await plan(database, ...Array.from({ length: 1_234 }, (_, i) => planned(`many-${i}`)));
    const { named } = start(channel, { batchSize: 20, concurrency: 3 });
    await eventually(() => expect(named('delivery.attempted')).toHaveLength(1_234));
    expect(new Set(channel.seen).size).toBe(1_234);
    expect(Math.max(...channel.batches.map((batch) => batch.length))).toBe(20);
  });

  it('lets an urgent one overtake a backlog', async () => {
    const channel = new ScriptedChannel('email');
    const gate = Promise.withResolvers<Outcome>();
    channel.answer = () => gate.promise;
    await plan(database, ...Array.from({ length: 20 }, (_, i) => planned(`slow-${i}`)));
    const { dispatcher } = start(channel, { batchSize: 1, concurrency: 1 });
    await eventually(() => expect(channel.batches).toHaveLength(1));
    await plan(database, planned('urgent', { urgency: 'high', dueAt: new Date(clock.now()) }));
    dispatcher.wake();
    gate.resolve(delivered);
    await eventually(() => expect(channel.seen).toHaveLength(21));
    expect(channel.seen[1]).toBe('urgent');
  });

  it('does not look at the database while idle, and wakes by itself at the next due time', async () => {
    const channel = new ScriptedChannel('email');
    await plan(database, planned('future', { dueAt: new Date(clock.now() + 20_000) }));
    start(channel);
    await eventually(() => expect(clock.nextTimer()).toBe(clock.now() + 20_000));
    clock.advance(19_999);
    expect(channel.seen).toEqual([]);
    clock.advance(1);
    await eventually(() => expect(channel.seen).toEqual(['future']));
    await eventually(() => expect(clock.nextTimer()).toBe(clock.now() + 30_000)); // only the slow poll is left
  });

  it('finds by its slow poll what nobody woke it for', async () => {
    const channel = new ScriptedChannel('email');
    start(channel);
    await eventually(() => expect(clock.nextTimer()).toBe(clock.now() + 30_000));
    await plan(database, planned('unannounced'));
    clock.advance(30_000);
    await eventually(() => expect(channel.seen).toEqual(['unannounced']));
  });

  it('tries again after back-off, and after Retry-After where the provider gives one', async () => {
    const channel = new ScriptedChannel('email', (delivery) => (delivery.attempt === 1 ? retry() : retry(77_000)));
    await plan(database, planned('again'));
    const { named } = start(channel);
    await eventually(() => expect(named('delivery.attempted')).toHaveLength(1));
    await eventually(() => expect(clock.nextTimer()).toBe(clock.now() + 5_000)); // dice 0.5 of 10 s
    clock.advance(5_000);
    await eventually(() => expect(named('delivery.attempted')).toHaveLength(2));
    channel.answer = () => delivered;
    const asked = clock.now();
    await eventually(() => {
      clock.advance(1_000);
      expect(channel.batches).toHaveLength(3);
    });
    expect(channel.batches[2]![0]!.dueAt.getTime()).toBe(asked + 77_000);
    expect(clock.now()).toBeGreaterThanOrEqual(asked + 77_000);
    await eventually(async () => expect(await pending()).toBe(0));
  });

  it('keeps what is refused, and what fails too often, as dead letters with their cause', async () => {
    const refused: Outcome = { kind: 'refused', cause: 'smtp_554', detail: 'Spam.' };
    const channel = new ScriptedChannel('email', ({ noticeId }) => (noticeId === 'spam' ? refused : retry(0)));
    await plan(database, planned('spam'), planned('hopeless'));
    const { named } = start(channel);
    await eventually(() => {
      clock.advance(1);
      expect(named('delivery.attempted').filter((signal) => signal.outcome === 'dead')).toHaveLength(2);
    });
    const rows = await database.query('select notice_id, reason, cause, failures from delivery order by 1');
    expect(rows).toEqual([
      { notice_id: 'hopeless', reason: 'exhausted', cause: 'busy', failures: 12 },
      { notice_id: 'spam', reason: 'refused', cause: 'smtp_554', failures: 1 },
    ]);
  });

  it('drops a delivery to a dead address and marks the address in the same transaction', async () => {
    const channel = new ScriptedChannel('email', () => ({ kind: 'gone', cause: 'mailbox_unknown' }));
    const marked: GoneEndpoint[] = [];
    await plan(database, planned('gone'));
    const { named } = start(channel, {}, { markGone: async (_tx, gone) => void marked.push(...gone) });
    await eventually(() => expect(named('delivery.attempted')).toMatchObject([{ outcome: 'dropped' }]));
    expect(marked).toEqual([
      { channel: 'email', recipientId: 'person-gone', endpoint: 'gone@example.org', cause: 'mailbox_unknown' },
    ]);
    expect(await pending()).toBe(0);
  });

  it('settles even when marking the address fails', async () => {
    const channel = new ScriptedChannel('email', () => ({ kind: 'gone', cause: 'mailbox_unknown' }));
    await plan(database, planned('gone'));
    const { named } = start(channel, {}, { markGone: async (tx) => void (await tx.query('select 1/0')) });
    await eventually(() => expect(named('delivery.attempted')).toMatchObject([{ outcome: 'dropped' }]));
    expect(named('lane.failed')).toMatchObject([{ doing: 'mark_gone' }]);
    expect(channel.batches).toHaveLength(1);
  });

  it('pauses when the channel is down, probes with one at a time, burns no attempts, and resumes by itself', async () => {
    const channel = new ScriptedChannel('email', () => down);
    await plan(database, ...Array.from({ length: 200 }, (_, i) => planned(`wait-${i}`)));
    const { dispatcher, named } = start(channel, { batchSize: 10, concurrency: 2 });
    await eventually(() => expect(named('lane.paused')).toHaveLength(1));
    const before = channel.batches.length;
    for (let minute = 0; minute < 20; minute++) {
      const paused = named('lane.paused').length;
      clock.advance(30_000);
      await eventually(() => expect(named('lane.paused').length).toBeGreaterThan(paused));
    }
    expect(dispatcher.states()).toEqual([{ channel: 'email', state: 'open' }]);
    const probes = channel.batches.slice(before).filter((batch) => batch.length !== 10);
    expect(probes.every((batch) => batch.length === 1)).toBe(true);
    expect(named('delivery.attempted')).toEqual([]);
    expect(await database.query('select distinct failures, state from delivery')).toEqual([
      { failures: 0, state: 'pending' },
    ]);

    channel.answer = () => delivered;
    clock.advance(30_000);
    await eventually(() => expect(named('delivery.attempted')).toHaveLength(200));
    expect(named('lane.resumed')).toHaveLength(1);
    expect(await pending()).toBe(0);
  });

  it('waits for a human when the channel raises an alarm, and goes on when told', async () => {
    const channel = new ScriptedChannel('email', () => ({ kind: 'down', cause: 'auth_failed', alarm: true }));
    await plan(database, planned('locked'));
    const { dispatcher, named } = start(channel);
    await eventually(() => expect(named('lane.paused')).toMatchObject([{ alarm: true, forMs: 300_000 }]));
    await eventually(() => expect(dispatcher.states()).toEqual([{ channel: 'email', state: 'alarm' }]));
    channel.answer = () => delivered;
    await eventually(async () => {
      dispatcher.resume('email');
      expect(await pending()).toBe(0);
    });
    expect(named('lane.resumed')).toHaveLength(1);
  });

  it('paces the channel: no more than the burst at once, then at the rate', async () => {
    const channel = new ScriptedChannel('email');
    await plan(database, ...Array.from({ length: 30 }, (_, i) => planned(`paced-${i}`)));
    const { named } = start(channel, { rate: { ratePerSecond: 10, burst: 5 } });
    await eventually(() => expect(named('delivery.attempted')).toHaveLength(5));
    for (let second = 1; second <= 2; second++) {
      for (let tenth = 0; tenth < 10; tenth++) {
        const seen = channel.seen.length;
        clock.advance(100);
        await eventually(() => expect(channel.seen.length).toBe(seen + 1));
        await eventually(() => expect(named('delivery.attempted')).toHaveLength(seen + 1));
      }
    }
    expect(channel.seen).toHaveLength(25);
  });

  it('paces each domain, without holding up the others', async () => {
    const channel = new ScriptedChannel('email');
    const to = (domain: string, count: number) =>
      Array.from({ length: count }, (_, i) => planned(`${domain}-${i}`, { endpoint: `p${i}@${domain}` }));
    await plan(database, ...to('big.example', 50), ...to('small.example', 3));
    const { named } = start(channel, { domainRate: { ratePerSecond: 10, burst: 5 } });
    await eventually(() => expect(named('delivery.attempted')).toHaveLength(8));
    expect(channel.seen.filter((notice) => notice.startsWith('small'))).toHaveLength(3);
    await eventually(() => {
      clock.advance(100);
      expect(named('delivery.attempted')).toHaveLength(53);
    });
    // One claim finds the domain busy, the next one sends it: given back about once each, not again and again.
    const [row] = await database.query<{ claims: number }>(
      "select avg(attempt)::float as claims from attempt where notice_id like 'big.example-%'",
    );
    expect(row!.claims).toBeLessThan(2.5);
  });

  it('counts an exception of a channel as a failed attempt of its batch, and goes on', async () => {
    const channel = new ScriptedChannel('email', ({ attempt }) => {
      if (attempt === 1) throw new Error('bug');
      return delivered;
    });
    await plan(database, planned('unlucky'));
    const { named } = start(channel);
    await eventually(() => expect(named('lane.failed')).toMatchObject([{ doing: 'deliver' }]));
    await eventually(() => {
      clock.advance(1_000);
      expect(named('delivery.attempted').at(-1)).toMatchObject({ outcome: 'delivered', attempt: 2 });
    });
  });

  it('keeps its leases while the channel is slow: nobody else takes the delivery', async () => {
    const channel = new ScriptedChannel('email');
    const gate = Promise.withResolvers<Outcome>();
    channel.answer = () => gate.promise;
    await plan(database, planned('slow'));
    const { named } = start(channel, { leaseMs: 3_000 });
    await eventually(() => expect(channel.batches).toHaveLength(1));
    for (let second = 0; second < 20; second++) {
      clock.advance(1_000);
      await eventually(async () => {
        const [row] = await database.query<{ leased_until: Date }>('select leased_until from delivery');
        expect(row!.leased_until.getTime()).toBeGreaterThan(clock.now() + 1_000);
      });
    }
    expect(await claimDue(database, { channel: 'email', limit: 9, now: new Date(clock.now()), leaseMs: 1 })).toEqual(
      [],
    );
    gate.resolve(delivered);
    await eventually(() => expect(named('delivery.attempted')).toMatchObject([{ outcome: 'delivered', attempt: 1 }]));
  });

  it('does not send again what it is still sending, even if it slept for longer than its lease', async () => {
    const channel = new ScriptedChannel('email');
    const gate = Promise.withResolvers<Outcome>();
    channel.answer = () => gate.promise;
    const [id] = await plan(database, planned('asleep'));
    const { dispatcher, named } = start(channel);
    await eventually(() => expect(channel.batches).toHaveLength(1));
    await database.query("update delivery set leased_until = '2000-01-01'");
    dispatcher.wake();
    await eventually(async () => {
      expect(await database.query('select attempt from delivery where id = $1', [id])).toEqual([{ attempt: 2 }]);
    });
    gate.resolve(retry(60_000));
    await eventually(() => expect(named('delivery.attempted')).toMatchObject([{ outcome: 'retry', attempt: 2 }]));
    expect(channel.batches).toHaveLength(1);
    expect(await database.query('select failures from delivery')).toEqual([{ failures: 1 }]); // the sleep is none
  });

  it('however its clock jumps, never sends one twice at a time, nor again after it was delivered', async () => {
    const sending = new Set<string>();
    const done = new Set<string>();
    const wrong: string[] = [];
    const channel = new ScriptedChannel('email', async ({ id }) => {
      if (sending.has(id) || done.has(id)) wrong.push(id);
      sending.add(id);
      for (let i = Math.random() * 30; i > 0; i--) await new Promise(setImmediate);
      sending.delete(id);
      if (Math.random() < 0.3) return retry(0);
      done.add(id);
      return delivered;
    });
    await plan(database, ...Array.from({ length: 150 }, (_, i) => planned(`jump-${i}`)));
    const retryPolicy = { backoff: { baseMs: 1, capMs: 1 }, maxAttempts: 50, maxAgeMs: 1e12 };
    start(channel, { batchSize: 1, concurrency: 10, leaseMs: 1_000, retry: retryPolicy });
    await eventually(async () => {
      clock.advance(1_500); // every lease lapses, all the time
      expect(await pending()).toBe(0);
    });
    expect(wrong).toEqual([]);
    expect(done.size).toBe(150);
  });

  it('says so when its outcome comes after another worker took the delivery', async () => {
    const channel = new ScriptedChannel('email');
    const gate = Promise.withResolvers<Outcome>();
    channel.answer = () => gate.promise;
    await plan(database, planned('stolen'));
    const { named } = start(channel);
    await eventually(() => expect(channel.batches).toHaveLength(1));
    await claimDue(database, { channel: 'email', limit: 1, now: new Date(clock.now() + 31_000), leaseMs: 60_000 });
    gate.resolve(delivered);
    await eventually(() => expect(named('delivery.fenced')).toMatchObject([{ attempt: 1 }]));
    expect(await pending()).toBe(1);
  });

  it('takes over what a dead worker held, once its lease has lapsed', async () => {
    await plan(database, planned('orphan'));
    await claimDue(database, { channel: 'email', limit: 1, now: new Date(clock.now()), leaseMs: 10_000 });
    const channel = new ScriptedChannel('email');
    const { named } = start(channel);
    await eventually(() => expect(clock.nextTimer()).toBe(clock.now() + 10_000));
    clock.advance(10_000);
    await eventually(() => expect(named('delivery.attempted')).toMatchObject([{ outcome: 'delivered', attempt: 2 }]));
  });

  it('ends a delivery that outlives every worker that takes it', async () => {
    await plan(database, planned('poison'));
    for (let i = 0; i <= 12; i++) {
      const now = new Date(clock.now());
      await claimDue(database, { channel: 'email', limit: 1, now, leaseMs: 1_000 });
      clock.advance(1_000);
    }
    const channel = new ScriptedChannel('email');
    const { named } = start(channel);
    await eventually(() =>
      expect(named('delivery.attempted')).toMatchObject([{ outcome: 'dead', cause: 'lease_lapsed' }]),
    );
    expect(channel.seen).toEqual([]);
  });

  it('stops cleanly: what is under way is settled, nothing more is taken, no timer and no lease is left', async () => {
    const channel = new ScriptedChannel('email');
    const gate = Promise.withResolvers<Outcome>();
    channel.answer = () => gate.promise;
    await plan(database, ...Array.from({ length: 10 }, (_, i) => planned(`stop-${i}`)));
    const { dispatcher } = start(channel, { batchSize: 2, concurrency: 2 });
    await eventually(() => expect(channel.batches).toHaveLength(2));
    const stopped = dispatcher.stop();
    dispatcher.wake();
    gate.resolve(delivered);
    await Promise.all([stopped, dispatcher.stop()]);
    expect(channel.seen).toHaveLength(4);
    expect(clock.timers).toBe(0);
    const rows = await database.query('select count(*) as left, count(leased_until) as leased from delivery');
    expect(rows).toEqual([{ left: 6, leased: 0 }]);
  });

  it('gives back what it had just claimed when it is stopped', async () => {
    const channel = new ScriptedChannel('email');
    await plan(database, planned('early'));
    const { dispatcher } = start(channel);
    await dispatcher.stop(); // the first claim is under way
    expect(channel.seen).toEqual([]);
    expect(await database.query('select leased_until, failures from delivery')).toEqual([
      { leased_until: null, failures: 0 },
    ]);
  });

  it('shares the work with a second dispatcher: every delivery is sent once', async () => {
    const channels = [new ScriptedChannel('email'), new ScriptedChannel('email')];
    await plan(database, ...Array.from({ length: 600 }, (_, i) => planned(`shared-${i}`)));
    const both = channels.map((channel) => start(channel, { batchSize: 10, concurrency: 2 }));
    await eventually(async () => expect(await pending()).toBe(0));
    await Promise.all(both.map(({ dispatcher }) => dispatcher.stop()));
    const seen = channels.flatMap((channel) => channel.seen);
    expect(seen).toHaveLength(600);
    expect(new Set(seen).size).toBe(600);
    expect(channels.every((channel) => channel.seen.length > 0)).toBe(true);
  });
});
