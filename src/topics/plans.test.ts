// The plans of hot statements. A broker does everything it can do, on tables that are filled; every statement it runs is
// caught as it goes to PostgreSQL, with its values, and explained. None may read a big table from end to end.
import pg from 'pg';
import { afterAll, describe, expect, it, vi } from 'vitest';
import { say, useBrokers } from '../../test/support/broker.ts';
import { useDatabase } from '../../test/support/database.ts';
import { eventually } from '../../test/support/eventually.ts';
import type { Broker } from './broker.ts';

/** Tables that grow with use. Partitioned ones by their beginnings. */
const BIG = /^(block_\d+|dedup_\d+|held|scheduled|rule|session)$/;

/** Not run per message, batch or tick: they may read what they must. */
const COLD = new Set([
  'topics.catalogue.rules',
  'topics.held.count',
  'topics.quota.size',
  'topics.redrive.causes',
  'topics.scheduled.count',
]);

type Caught = { readonly name: string; readonly text: string; readonly values: readonly unknown[] };
type Plan = { readonly 'Node Type': string; readonly 'Relation Name'?: string; readonly Plans?: readonly Plan[] };

const seqScans = (plan: Plan): string[] => [
  ...(plan['Node Type'] === 'Seq Scan' ? [plan['Relation Name'] ?? ''] : []),
  ...(plan.Plans ?? []).flatMap(seqScans),
];

describe('plans', () => {
  const { database } = useDatabase();
  const { start } = useBrokers(database);
  const caught = new Map<string, Caught>();
  const query = pg.Client.prototype.query;
  const spy = vi.spyOn(pg.Client.prototype, 'query').mockImplementation(function (this: pg.Client, ...args: unknown[]) {
    const config = args[0] as { name?: string; text?: string; values?: unknown[] } | undefined;
    const name = config?.name?.split(':')[0];
    if (name?.startsWith('topics.')) caught.set(name, { name, text: config!.text!, values: config!.values ?? [] });
    return Reflect.apply(query, this, args) as never;
  });
  afterAll(() => spy.mockRestore());

  const many = (count: number, more: (n: number) => object = () => ({})) =>
    Array.from({ length: count }, (_, n) => say(`${n}`, more(n)));

  async function fill(broker: Broker): Promise<void> {
    await broker.createQueue('q', { settings: { duplicateDetection: true }, queue: { maxDeliveryCount: 2 } });
    await broker.createQueue('sessions', { queue: { requiresSession: true } });
    await broker.createTopic('t', { partitions: 2 });
    const rules = Array.from({ length: 3_000 }, (_, n) => ({
      name: `r${n}`,
      filter: { type: 'correlation' as const, subject: `${n}` },
    }));
    await broker.createSubscription('t', 's', {}, rules);
    await broker.createSubscription('t', 'other');
    await broker.createTopic('held');
    for (let n = 0; n < 50; n++) await broker.createSubscription('held', `s${n}`);
    for (let batch = 0; batch < 400; batch++) {
      await Promise.all([
        broker.publish(
          'q',
          many(20, (n) => ({ messageId: `${batch}-${n}` })),
        ),
        broker.publish(
          't',
          many(3, (n) => ({ subject: `${n}` })),
        ),
      ]);
    }
    const later = new Date(Date.now() + 3_600_000);
    await broker.publish(
      'q',
      many(3_000, (n) => ({ messageId: `later-${n}`, scheduledAt: later })),
    );
    const receiver = broker.receiver('q');
    for (let n = 0; n < 6; n++) await receiver.deadLetter(await receiver.receive({ max: 500 }), { reason: `r${n}` });
    for (let n = 0; n < 2; n++) await receiver.defer(await receiver.receive({ max: 500 }));
    await database.query(
      `insert into session (subscription, session, state, updated_at)
       select s.id, n::text, 'x', now() from subscription s join topic t on t.id = s.topic, generate_series(1, 3000) as n
        where t.name = 'sessions'`,
    );
    // What others have in the same tables.
    for (const text of OTHERS) await database.query(text);
    await database.query('analyze');
  }

  async function doEverything(broker: Broker): Promise<void> {
    const receiver = broker.receiver('q');
    const [sent] = await broker.publish('q', [say('x', { messageId: 'new', scheduledAt: new Date(Date.now() + 1e6) })]);
    await broker.cancelScheduled('q', [sent!.sequence]);
    await broker.publish('q', [say('soon', { messageId: 'soon', scheduledAt: new Date(Date.now() + 50) })]);
    await broker.publish('q', [say('again', { messageId: '1-1' })]);
    await broker.countScheduled('q');
    await broker.publish(
      't',
      many(20, (n) => ({ partitionKey: `${n}` })), // to both partitions
    );
    const messages = await receiver.receive({ max: 40 });
    await receiver.complete(messages.slice(0, 10));
    await receiver.abandon(messages.slice(10, 20), { changed: true });
    await receiver.deadLetter(messages.slice(20, 30));
    await receiver.defer(messages.slice(30));
    const [deferred] = await receiver.receiveDeferred([messages[30]!.sequence]);
    await receiver.complete(deferred!);
    await receiver.peek({ from: 100, max: 50 });
    const dead = broker.receiver('q/$DeadLetterQueue');
    await dead.complete(await dead.receive({ max: 5, waitMs: 1_000 }));
    await dead.peek({ max: 5 });
    await broker.redrive('q', { reason: 'r1' });
    await broker.purge('q/$DeadLetterQueue');
    await broker.publish('sessions', [say('1', { sessionId: 'a' })]);
    const session = (await broker.acceptSession('sessions', { waitMs: 5_000 }))!;
    await session.setSessionState(Buffer.from('x'));
    await session.getSessionState();
    await session.setSessionState(undefined);
    await session.close();
    await broker.sessions('sessions', { updatedAfter: new Date(0) });
    await broker.browse('q', { from: 50, limit: 5 });
    await broker.browse('q', { before: 1_000, limit: 5 });
    await broker.replay('t/Subscriptions/other', { time: new Date(Date.now() - 1_000) });
    await broker.replay('t/Subscriptions/other', 'oldest');
    await broker.addRule('t', 's', { name: 'more', filter: { type: 'correlation', to: 'x' } });
    await broker.removeRule('t', 's', 'more');
    await broker.housekeeper.round();
  }

  it('of hot statements read no big table from end to end', { timeout: 120_000 }, async () => {
    const broker = await start('one', { link: { host: '127.0.0.1', port: 0 } });
    await fill(broker);
    caught.clear();
    await doEverything(broker);
    // A second node, for what only several do.
    const other = await start('two', { link: { host: '127.0.0.1', port: 0 } });
    await eventually(() => expect(other.topic('q').name).toBe('q'));
    // It has not seen the id itself, so the database must find it.
    expect(await other.publish('q', [say('x', { messageId: '3-3' })])).toMatchObject([{ duplicate: true }]);
    await eventually(async () => {
      for (const name of ['q', 'sessions', 't/Subscriptions/s', 'held/Subscriptions/s0'])
        await other.receiver(name).peek();
      expect([...caught.keys()]).toEqual(expect.arrayContaining(['topics.nodes.owners', 'topics.owner.orphans']));
    });
    await other.stop();
    await broker.stop();
    const client = await database.dedicated('plans');
    // As the connections for publishing and progress are set up (append.ts, progress.ts).
    await client.query('set plan_cache_mode = force_generic_plan');
    const bad: string[] = [];
    for (const { name, text, values } of caught.values()) {
      if (/^topics\.(append|dedup|progress)/.test(name)) {
        await client.query('set enable_seqscan = off; set enable_hashjoin = off; set enable_mergejoin = off');
      } else await client.query('set enable_seqscan = on; set enable_hashjoin = on; set enable_mergejoin = on');
      const { rows } = await client.query({ text: `explain (format json) ${text}`, values: [...values] });
      const plan = (rows[0] as { 'QUERY PLAN': [{ Plan: Plan }] })['QUERY PLAN'][0].Plan;
      const scanned = seqScans(plan).filter((table) => BIG.test(table));
      if (scanned.length > 0 && !COLD.has(name)) bad.push(`${name}: ${scanned.join(', ')}`);
    }
    await client.end();
    expect(bad).toEqual([]);
    // The statement for a block with its ids is there once for each slot of time.
    const kinds = [...caught.keys()].map((name) => name.replace(/\.\d+$/, ''));
    expect(kinds).toEqual(expect.arrayContaining(HOT));
    expect(caught.size).toBeGreaterThan(40);
  });
});

const OTHERS = [
  `insert into block (gen, topic, part, first_seq, count, enqueued_at, nonce, tally, body)
   select 1, 1000000 + n % 50, 0, n, 1, now(), 'n', 't', repeat('b', 200)::bytea from generate_series(1, 60000) as n`,
  `insert into dedup (slot, topic, part, id, slice, sequence, at)
   select slot, 1000000, 0, gen_random_uuid(), 1, n, now() from generate_series(1, 20000) as n, generate_series(0, 2) as slot`,
  // Of fifty subscriptions: for what is a third of a table the planner may well read all of it.
  `insert into held (subscription, part, sequence, state, delivery_count, enqueued_at, held_at, reason, record)
   select s.id, 0, n, (array['retry', 'deferred', 'dead'])[1 + n % 3], 0, now(), now(), 'r' || n % 9, 'x'
     from subscription s join topic t on t.id = s.topic, generate_series(1, 600) as n where t.name = 'held'`,
  `insert into scheduled (id, topic, due_at, scheduled_at, record)
   select 1000000000 + n, t.id, now() + interval '1 day', now(), 'x' from topic t, generate_series(1, 30000) as n
    where t.name = 't'`,
  `insert into rule (subscription, name, filter, created_at)
   select s.id, 'x' || n, '{"type":"correlation","to":"nobody"}', now() from subscription s, generate_series(1, 20000) as n
    where s.name = 'other'`,
  `insert into session (subscription, session, state, updated_at)
   select s.id, n::text, 'x', now() from subscription s, generate_series(1, 20000) as n where s.name = 'other'`,
];

const HOT = [
  'topics.append',
  'topics.append.one',
  'topics.append.one-ids',
  'topics.append.ids',
  'topics.dedup.find',
  'topics.progress',
  'topics.progress.held',
  'topics.read',
  'topics.read.tallies',
  'topics.append.heads',
  'topics.held.load',
  'topics.held.find',
  'topics.scheduled.insert',
  'topics.scheduled.due',
  'topics.scheduled.next',
  'topics.scheduled.delete',
  'topics.scheduled.cancel',
  'topics.redrive.select',
  'topics.session.get',
  'topics.session.set',
  'topics.session.list',
  'topics.node.renew',
  'topics.owner.claim',
  'topics.owner.orphans',
  'topics.owner.report',
  'topics.catalogue.rules.new',
];
