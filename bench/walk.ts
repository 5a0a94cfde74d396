// A notification for everyone: how long accepting the event takes, which is one row whatever the audience, and how fast
// the walk behind it goes through the people, with what it writes for each. A third of the people have a device. Prints
// figures. Run: node bench/walk.ts [people, 100000]
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeEvent } from '../src/events/cloudevent.ts';
import { toMessage } from '../src/events/to-message.ts';
import { Handler, type HandlerSignal } from '../src/handler/handler.ts';
import { compileDefinitions, type Notification } from '../src/handler/notification.ts';
import { mobileEndpoints } from '../src/hub/channel.ts';
import { InboxStream } from '../src/inbox/stream.ts';
import { Database } from '../src/kit/database.ts';
import { migrate } from '../src/kit/migrate.ts';
import { Engine } from '../src/main/engine/engine.ts';
import { Broker } from '../src/topics/broker.ts';
import { addManyDevices } from '../test/support/many-devices.ts';

const people = Number(process.argv[2] ?? 100_000);

const closed: Notification<{ readonly text: string }> = {
  name: 'office-closed',
  topic: 'hr',
  category: 'hr',
  channels: ['inbox', 'mobile'],
  audience: () => ({ everyone: true }),
  content: ({ data }, person) => ({ title: `The office is closed, ${person.displayName}`, body: data.text }),
};

await using stack = new AsyncDisposableStack();
const folder = await mkdtemp(join(tmpdir(), 'carillon-bench-'));
await chmod(folder, 0o755);
stack.defer(() => rm(folder, { recursive: true, force: true }));
const engine = stack.use(await Engine.start({ folder, emit: () => {} }));
const database = stack.use(new Database({ url: engine.url('postgres'), poolSize: 10 }));
await migrate(database, new URL('../migrations', import.meta.url).pathname);
await database.query(
  `insert into recipient (id, display_name, created_at, updated_at)
   select 'user-' || n, 'Person ' || n, now(), now() from generate_series(1, $1::int) as n`,
  [people],
);
await database.query(
  `insert into preference (recipient_id, settings, created_at, updated_at)
   select 'user-' || n, case when n % 10 = 0 then '{"SendNotificationToMobileDevice": false}'::jsonb else '{}' end, now(), now()
   from generate_series(1, $1::int) as n`,
  [people],
);
await database.query(`insert into hub (name, sealed, created_at, updated_at) values ('main', '', now(), now())`);
const body = JSON.stringify({ aps: { alert: '$(name)' } });
await addManyDevices(database, { hub: 'main', platform: 'apns', count: Math.ceil(people / 3), body });
await database.query('analyze');

const broker = await Broker.start({ database, emit: () => {}, node: { id: 'bench' } });
stack.defer(() => broker.stop());
await broker.createTopic('hr', { settings: {} });
const stream = stack.use(await InboxStream.start({ database, emit: () => {} }));
const handled = Promise.withResolvers<number>();
const walked = Promise.withResolvers<number>();
const sums = { notices: 0, deliveries: 0 };

stack.use(
  await Handler.start({
    database,
    broker,
    definitions: compileDefinitions([closed as Notification], {}),
    finders: { mobile: mobileEndpoints },
    inbox: stream,
    wake: () => {},
    emit,
  } as Parameters<typeof Handler.start>[0]),
);

function emit(signal: HandlerSignal): void {
  if (signal.name === 'handler.batch') handled.resolve(signal.tookMs);
  else if (signal.name === 'handler.walked') {
    sums.notices += signal.notices;
    sums.deliveries += signal.deliveries;
    if (signal.done) walked.resolve(performance.now());
  } else console.error(signal);
}

const data = { text: 'On Friday the office stays closed, because the heating is being repaired.' };
const attributes = {
  specversion: '1.0',
  id: 'e-1',
  source: '/hr',
  type: 'hr.closed',
  datacontenttype: 'application/json',
};
const [before] = await database.query<{ wal: string }>('select pg_current_wal_insert_lsn()::text as wal');
const cpu = process.cpuUsage();
const began = performance.now();
await broker.publish('hr', [
  toMessage(makeEvent(attributes, { data, raw: Buffer.from(JSON.stringify(data)) }, new Date())),
]);
const accepted = performance.now() - began;
const completedMs = await handled.promise;
const seconds = ((await walked.promise) - began) / 1000;
const { user, system } = process.cpuUsage(cpu);
const [after] = await database.query<{ bytes: number }>(
  'select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), $1::text::pg_lsn)::float8 as bytes',
  [before!.wal],
);
console.log(`accepted in ${accepted.toFixed(1)} ms, completed by the handler in ${completedMs.toFixed(1)} ms`);
console.log(
  `${sums.notices} notices and ${sums.deliveries} deliveries in ${seconds.toFixed(1)} s: ${Math.round(sums.notices / seconds)} people/s, ` +
    `node ${((user + system) / 1e4 / seconds).toFixed(0)} % of a core, ${Math.round(after!.bytes / people)} bytes of WAL each`,
);
