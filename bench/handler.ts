// How many events a second the handler commits end to end, with preferences: matched, people read, preferences and
// conditions asked, notice, inbox row, planned mail and decision trace written in the transaction that completes the
// batch, on a durable PostgreSQL. Three phases: a backlog is drained; events are handled while they are published as fast
// as possible; and 1,000 events a second are timed from the call of publish to the open stream of the person concerned.
// Prints figures; about 20 seconds. Run: node bench/handler.ts [events of the backlog]
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeEvent } from '../src/events/cloudevent.ts';
import { toMessage } from '../src/events/to-message.ts';
import { emailEndpoints } from '../src/handler/endpoints.ts';
import { Handler, type HandlerSignal } from '../src/handler/handler.ts';
import { compileDefinitions, type Notification } from '../src/handler/notification.ts';
import { InboxStream } from '../src/inbox/stream.ts';
import { Database } from '../src/kit/database.ts';
import { migrate } from '../src/kit/migrate.ts';
import { Engine } from '../src/main/engine/engine.ts';
import { Broker } from '../src/topics/broker.ts';
import type { OutgoingMessage } from '../src/topics/message.ts';

type Debited = { customer: string; account: string; amount: number; currency: string; text: string };

const PEOPLE = 10_000;
const BACKLOG = Number(process.argv[2] ?? 60_000);
const LIVE_MS = 4_000;
const PACED_MS = 4_000;
const PACED_PER_SECOND = 1_000;
const WATCHED = 200;

const debited: Notification<Debited> = {
  name: 'account-debited',
  topic: 'account',
  category: 'account',
  when: "type = 'account.debited'",
  channels: ['inbox', 'mobile', 'conversation', 'email'],
  audience: ({ data }) => [data.customer],
  content: ({ data }) => ({
    title: `${data.amount.toFixed(2)} ${data.currency} left account ${data.account}`,
    body: data.text,
    facts: [{ label: 'Account', value: data.account }],
  }),
};

let made = 0;

function event(customer = Math.floor(Math.random() * PEOPLE)): OutgoingMessage {
  const data: Debited = {
    customer: `customer-${customer}`,
    account: `AT${String(customer).padStart(18, '0')}`,
    amount: 1 + Math.floor(Math.random() * 1_000),
    currency: 'EUR',
    text: 'Direct debit of the electricity company, contract 4711. The bank has booked it at the end of the day.',
  };
  const raw = Buffer.from(JSON.stringify(data));
  const attributes = { specversion: '1.0', id: `e-${++made}`, source: '/bank', type: 'account.debited' };
  return toMessage(makeEvent({ ...attributes, datacontenttype: 'application/json' }, { data, raw }, new Date()));
}

/** Half of the people have a mail address; a quarter chose an amount of their own, some switched a channel off. */
async function makePeople(database: Database): Promise<void> {
  await database.query(
    `insert into recipient (id, display_name, email, created_at, updated_at)
     select 'customer-' || n, 'Customer ' || n, case when n % 2 = 0 then 'c' || n || '@example.org' end, now(), now()
     from generate_series(0, $1::int - 1) as n`,
    [PEOPLE],
  );
  await database.query(
    `insert into preference (recipient_id, settings, created_at, updated_at)
     select 'customer-' || n, case n % 8
       when 0 then '{"categories": {"account": {"when": "[data.amount] >= 500"}}}'::jsonb
       when 1 then '{"categories": {"account": {"when": "[data.amount] >= 250 AND source = ''/bank''"}}}'
       when 2 then '{"SendNotificationToMobileDevice": false, "categories": {"account": {"email": false}}}'
       else '{}' end, now(), now()
     from generate_series(0, $1::int - 1) as n`,
    [PEOPLE],
  );
  await database.query('analyze');
}

class Count {
  events = 0;
  notices = 0;
  deliveries = 0;
  batches = 0;

  readonly listen = (signal: HandlerSignal): void => {
    if (signal.name !== 'handler.batch') throw new Error(JSON.stringify(signal));
    this.events += signal.events;
    this.notices += signal.notices;
    this.deliveries += signal.deliveries;
    this.batches++;
  };

  async reach(events: number): Promise<void> {
    while (this.events < events) await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

async function publishAll(broker: Broker, count: number): Promise<void> {
  for (let left = count; left > 0; left -= 2_000) {
    await broker.publish(
      'account',
      Array.from({ length: Math.min(left, 2_000) }, () => event()),
    );
  }
}

async function drain(broker: Broker, count: Count): Promise<void> {
  const began = performance.now();
  const cpu = process.cpuUsage();
  await count.reach(BACKLOG);
  const seconds = (performance.now() - began) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  const per = (n: number) => Math.round(n / seconds).toLocaleString('en');
  console.log(
    `backlog   ${per(count.events)} events/s, ${per(count.notices)} notices/s, ${per(count.deliveries)} deliveries/s`,
  );
  console.log(
    `          batches of ${Math.round(count.events / count.batches)}, node ${((user + system) / 1e4 / seconds).toFixed(0)} % of a core`,
  );
  void broker;
}

async function live(broker: Broker, count: Count): Promise<void> {
  const before = count.events;
  const began = performance.now();
  let published = 0;
  const publisher = async () => {
    while (performance.now() - began < LIVE_MS) {
      await broker.publish(
        'account',
        Array.from({ length: 20 }, () => event()),
      );
      published += 20;
    }
  };
  await Promise.all(Array.from({ length: 16 }, publisher));
  const handled = count.events - before;
  const per = (n: number) => Math.round((n * 1000) / LIVE_MS).toLocaleString('en');
  console.log(`live      ${per(published)} events/s published, ${per(handled)} events/s handled at the same time`);
  await count.reach(before + published);
}

async function paced(broker: Broker, stream: InboxStream): Promise<void> {
  const began = new Map<string, number>();
  const took: number[] = [];
  const readers = Array.from({ length: WATCHED }, (_, n) => stream.reader(`customer-${n * 8 + 3}`));
  const watching = readers.map(async (reader) => {
    for await (const seen of reader) {
      if (seen.kind !== 'item') continue;
      const at = began.get(seen.item.body);
      if (at !== undefined) took.push(performance.now() - at);
    }
  });
  const start = performance.now();
  for (let sent = 0; performance.now() - start < PACED_MS; ) {
    const due = Math.floor(((performance.now() - start) * PACED_PER_SECOND) / 1000);
    for (; sent < due; sent++) void broker.publish('account', [watchedEvent(sent, began)]);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await new Promise((resolve) => setTimeout(resolve, 500));
  for (const reader of readers) reader.close();
  await Promise.all(watching);
  took.sort((a, b) => a - b);
  const at = (share: number) => took[Math.floor(took.length * share)]?.toFixed(1);
  console.log(
    `paced     ${PACED_PER_SECOND}/s: publish to open stream p50 ${at(0.5)} ms, p99 ${at(0.99)} ms (${took.length} seen)`,
  );
}

function watchedEvent(n: number, began: Map<string, number>): OutgoingMessage {
  const customer = (n % WATCHED) * 8 + 3;
  const text = `event ${n}`;
  const data: Debited = { customer: `customer-${customer}`, account: 'A', amount: 900, currency: 'EUR', text };
  const attributes = { specversion: '1.0', id: `p-${n}`, source: '/bank', type: 'account.debited' };
  const raw = Buffer.from(JSON.stringify(data));
  began.set(text, performance.now());
  return toMessage(makeEvent({ ...attributes, datacontenttype: 'application/json' }, { data, raw }, new Date()));
}

async function main(): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'carillon-bench-'));
  await chmod(folder, 0o755);
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  const engine = stack.use(await Engine.start({ folder, emit: () => {} }));
  const database = stack.use(new Database({ url: engine.url('postgres'), poolSize: 10 }));
  await migrate(database, new URL('../migrations', import.meta.url).pathname);
  await makePeople(database);
  const broker = await Broker.start({ database, emit: () => {}, node: { id: 'bench' } });
  stack.defer(() => broker.stop());
  await broker.createTopic('account', { settings: { duplicateDetection: true } });
  await broker.ensureSubscription('account', 'carillon-handler');
  await publishAll(broker, BACKLOG);
  const stream = stack.use(await InboxStream.start({ database, emit: () => {} }));
  const count = new Count();
  const categories = { account: { defaults: { when: '[data.amount] > 100' } } };
  const definitions = compileDefinitions([debited as Notification], categories);
  const finders = { email: emailEndpoints };
  const handler = await Handler.start({
    database,
    broker,
    definitions,
    finders,
    inbox: stream,
    wake: () => {},
    emit: count.listen,
  });
  stack.use(handler);
  await drain(broker, count);
  await live(broker, count);
  await paced(broker, stream);
}

await main();
