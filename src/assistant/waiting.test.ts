import { afterAll, afterEach, expect, test } from 'vitest';
import { useDatabase } from '../../test/support/database.ts';
import { eventually } from '../../test/support/eventually.ts';
import { channelNames } from '../deliveries/channel.ts';
import { makeEvent } from '../events/cloudevent.ts';
import { toMessage } from '../events/to-message.ts';
import { draftBatch } from '../handler/handler.ts';
import { compileDefinitions } from '../handler/notification.ts';
import { writeEvents } from '../handler/write.ts';
import type { Profile } from '../people/recipient.ts';
import { recordPosted } from './posted.ts';
import type { Poster } from './poster.ts';
import { conversationEndpoints, Newcomers, planWaiting } from './waiting.ts';

const { database } = useDatabase();
const definitions = compileDefinitions([
  {
    name: 'told',
    topic: 'hr',
    category: 'hr',
    channels: [...channelNames],
    audience: ({ data }) => [data as string],
    content: ({ id }) => ({ title: id }),
  },
]);
let sequence = 0;

async function tell(recipient: string, posters: readonly Poster[] = []): Promise<number> {
  return write(await draft(recipient, posters));
}

function draft(recipient: string, posters: readonly Poster[] = []) {
  const attributes = {
    specversion: '1.0',
    id: `e${++sequence}`,
    source: '/t',
    type: 'told',
    datacontenttype: 'application/json',
  };
  const raw = Buffer.from(JSON.stringify(recipient));
  const outgoing = toMessage(makeEvent(attributes, { data: recipient, raw }, new Date()));
  const place = { topic: 'hr', partition: 0, sequence, enqueuedAt: new Date(), deliveryCount: 0 };
  const deps = { database, definitions, finders: { conversation: conversationEndpoints(posters) } };
  return draftBatch(deps, [{ ...outgoing, ...place, messageId: outgoing.messageId! }], new Date());
}

async function write(drafted: Awaited<ReturnType<typeof draft>>): Promise<number> {
  return (await database.transaction((tx) => writeEvents(tx, drafted, new Date()))).deliveries;
}

const planned = (recipient: string) =>
  database.query("select 1 from delivery where recipient_id = $1 and channel = 'conversation' order by due_at", [
    recipient,
  ]);
const newcomers = new Newcomers({
  database,
  planned: () => {},
  fault: (error) => faults.push(error),
  againAfterMs: [20, 500, 3_000],
});
const faults: unknown[] = [];
afterEach(() => expect(faults).toEqual([]));
afterAll(() => newcomers.stop());

const came = (recipientId: string) =>
  newcomers.seen({
    id: `cnv_${recipientId}`,
    recipientId,
    agent: 'assistant',
    channel: 'directline',
    createdAt: new Date(),
  });

/** As the lane does: what was posted is no longer planned. */
async function post(recipientId: string): Promise<void> {
  const rows = await database.query<{ id: string; notice: string }>(
    `delete from delivery where recipient_id = $1 and channel = 'conversation' returning id, notice_id as notice`,
    [recipientId],
  );
  const where = { recipientId, channel: 'directline', connection: 'assistant', place: 'c' } as const;
  const posted = { ...where, activityId: 'a', postedAt: new Date() };
  await recordPosted(
    database,
    rows.map(({ id, notice }) => ({ ...posted, noticeId: notice, deliveryId: id })),
  );
}

test('for whoever was never in a conversation nothing is delivered until they open it, then what waits is, once', async () => {
  expect([await tell('newcomer'), await tell('newcomer'), await tell('somebody')]).toEqual([0, 0, 0]);
  expect(await planned('newcomer')).toEqual([]);
  await came('newcomer');
  await came('newcomer');
  await planWaiting(database, 'newcomer');
  expect((await planned('newcomer')).length).toBe(2);
  expect(await tell('newcomer')).toBe(1);
  expect(await planned('somebody')).toEqual([]);
});

test('what the person did not want in a conversation does not wait for them', async () => {
  await database.query(`insert into recipient (id, created_at, updated_at) values ('quiet', now(), now())`);
  await database.query(
    `insert into preference (recipient_id, settings, created_at, updated_at)
     values ('quiet', '{"SendNotificationToConversation": false}', now(), now())`,
  );
  await tell('quiet');
  expect(await planWaiting(database, 'quiet')).toBe(0);
});

test('no more than twenty, the newest, in the order in which they came', async () => {
  for (let n = 0; n < 22; n++) await tell('popular');
  expect(await planWaiting(database, 'popular')).toBe(20);
  const rows = await database.query<{ sequence: number }>(
    `select n.sequence from delivery d join notice n on n.recipient_id = d.recipient_id and n.id = d.notice_id
      where d.recipient_id = 'popular' order by d.due_at`,
  );
  expect(rows.map((row) => row.sequence)).toEqual(Array.from({ length: 20 }, (_, i) => sequence - 19 + i));
});

test('what was posted makes no room for older ones, however often it is looked at', async () => {
  for (let n = 0; n < 22; n++) await tell('patient');
  expect(await planWaiting(database, 'patient')).toBe(20);
  await post('patient');
  expect(await planWaiting(database, 'patient')).toBe(0);
});

test('a batch that did not know yet of their coming is made good', async () => {
  const drafted = await draft('early');
  await came('early');
  expect(await write(drafted)).toBe(0);
  await eventually(async () => expect((await planned('early')).length).toBe(1));
});

test('whoever can be found by what is known of them is reached at once', async () => {
  const likely = (person: Profile) => (person.id === 'found' ? [{} as never] : []);
  const poster = { surface: 'teams', likely } as unknown as Poster;
  expect(await tell('found', [poster])).toBe(1);
  expect(await tell('lost', [poster])).toBe(0);
});
