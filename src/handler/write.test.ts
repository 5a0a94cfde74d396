import { describe, expect, it } from 'vitest';
import { useDatabase } from '../../test/support/database.ts';
import { eventually } from '../../test/support/eventually.ts';
import { makeEvent } from '../events/cloudevent.ts';
import { toMessage } from '../events/to-message.ts';
import { listInbox } from '../inbox/feed.ts';
import type { Message } from '../topics/message.ts';
import { emailEndpoints } from './endpoints.ts';
import { draftBatch, type HandlerSignal } from './handler.ts';
import { compileDefinitions, type Notification } from './notification.ts';
import { AudienceWalker } from './walker.ts';
import { Doubtful, fitAtOnce, writeAtOnce, writeEvents } from './write.ts';

const told: Notification = {
  name: 'told',
  topic: 'hr',
  category: 'hr',
  channels: ['inbox', 'email'],
  audience: ({ data }) => data as string[],
  content: ({ id }) => ({ title: id }),
};
const toEveryone: Notification = {
  ...told,
  name: 'everyone',
  when: "type = 'all'",
  audience: () => ({ everyone: true }),
};
const asks: Notification = {
  ...told,
  name: 'asks',
  when: "type = 'ask'",
  channels: ['inbox'],
  content: ({ id }) => ({ title: id, actions: [{ id: 'yes', label: 'Yes' }] }),
  answers: { key: ({ data }) => (data as string[])[0] },
};
const definitions = compileDefinitions([{ ...told, when: "type = 'told'" }, toEveryone, asks]);
let sequence = 0;

function message(to: readonly string[], type = 'told'): Message {
  const attributes = {
    specversion: '1.0',
    id: `e${++sequence}`,
    source: '/t',
    type,
    datacontenttype: 'application/json',
  };
  const raw = Buffer.from(JSON.stringify(to));
  const outgoing = toMessage(makeEvent(attributes, { data: to, raw }, new Date()));
  const place = { topic: 'hr', partition: 0, sequence, enqueuedAt: new Date(), deliveryCount: 0 };
  return { ...outgoing, ...place, messageId: outgoing.messageId! };
}

describe('a batch', () => {
  const { database } = useDatabase();
  const deps = { database, definitions, finders: { email: emailEndpoints } };
  const write = async (messages: readonly Message[], fail = false) => {
    const now = new Date();
    const drafted = await draftBatch(deps, messages, now);
    return database.transaction(async (tx) => {
      const written = await writeEvents(tx, drafted, now);
      if (fail) throw new Error('the power went');
      return written;
    });
  };
  const count = async (table: string, recipient: string) =>
    (await database.query(`select 1 from ${table} where recipient_id = $1`, [recipient])).length;
  const walker = (signals: HandlerSignal[], fail: () => boolean = () => false) =>
    new AudienceWalker({
      database,
      definitions,
      finders: {
        email: (tx, ids, people) => {
          if (fail()) throw new Error('the power went');
          return emailEndpoints(tx, ids, people);
        },
      },
      inbox: { appended: () => {} },
      wake: () => {},
      emit: (signal) => signals.push(signal),
    });

  it('that is handled again makes no second notice, item or delivery', async () => {
    await database.query(
      `insert into recipient (id, email, created_at, updated_at) values ('again', 'a@b', now(), now())`,
    );
    const batch = [message(['again']), message(['again', 'other'])];
    expect(await write(batch)).toMatchObject({ deliveries: 2 });
    expect(await write(batch)).toMatchObject({ deliveries: 0, appended: [], refused: [] });
    expect(await write([...batch, message(['again'])])).toMatchObject({ deliveries: 1, refused: [] });
    expect(await listInbox(database, 'again')).toMatchObject({ unread: 3, position: 3 });
    expect(await count('delivery', 'again')).toBe(3);
    expect(await count('notice', 'other')).toBe(1);
  });

  it('of new events is written at once; with an old one among them, or one that cannot be stored, nothing of it is', async () => {
    await database.query(`insert into recipient (id, email, created_at, updated_at) values ('o', 'o@b', now(), now())`);
    const once = async (messages: readonly Message[]) => {
      const now = new Date();
      const drafted = await draftBatch(deps, messages, now);
      expect(fitAtOnce(drafted)).toBe(true);
      return database.atOnce((tx) => writeAtOnce(tx, drafted, now));
    };
    const first = message(['o']);
    expect(await once([first, message(['o']), message([], 'all')])).toMatchObject({ deliveries: 2, walks: 1 });
    await expect(once([message(['o']), first])).rejects.toBeInstanceOf(Doubtful);
    const unstorable = { ...message(['o']), topic: 'no\u0000' };
    await expect(once([message(['o']), unstorable])).rejects.toBeInstanceOf(Doubtful);
    expect(await listInbox(database, 'o')).toMatchObject({ unread: 2, position: 2 });
    expect(await count('delivery', 'o')).toBe(2);
    // A question may replace an earlier one, which takes an answer.
    expect(fitAtOnce(await draftBatch(deps, [message(['o'], 'ask')], new Date()))).toBe(false);
  });

  it('of old and new events, with questions and walks, makes of the new ones what they make alone', async () => {
    await database.query(`insert into recipient (id, email, created_at, updated_at) values ('m', 'm@b', now(), now())`);
    const old = [message(['m', 'n']), message(['m'], 'ask'), message([], 'all'), message(['n', 'm'], 'ask')];
    expect(await write(old)).toMatchObject({ deliveries: 1, walks: 1, withdrawn: 0 });
    const fresh = [message(['m', 'n'], 'ask'), message(['n', 'm']), message([], 'all'), message(['m', 'n'], 'ask')];
    const mixed = [old[0]!, fresh[0]!, old[1]!, fresh[1]!, old[2]!, fresh[2]!, old[3]!, fresh[3]!];
    const written = await write(mixed);
    expect(written).toMatchObject({ refused: [], deliveries: 1, walks: 1, withdrawn: 2 });
    const places = written.appended.map(
      ({ given: { notice }, position }) => `${notice.eventId} ${notice.recipientId} ${position}`,
    );
    const [first, second, , third] = fresh.map(({ sequence }) => `e${sequence}`);
    expect(places).toEqual([
      `${first} m 4`,
      `${first} n 3`,
      `${second} n 4`,
      `${second} m 5`,
      `${third} m 6`,
      `${third} n 5`,
    ]);
    const questions = await database.query<{ event_id: string; state: string; asked: number }>(
      `select event_id, state, (select count(*)::int from asked where question_id = question.id) as asked from question
       where key in ('m', 'n') order by sequence`,
    );
    expect(questions).toEqual([
      { event_id: `e${old[1]!.sequence}`, state: 'withdrawn', asked: 1 },
      { event_id: `e${old[3]!.sequence}`, state: 'open', asked: 2 },
      { event_id: `e${fresh[0]!.sequence}`, state: 'withdrawn', asked: 2 },
      { event_id: `e${fresh[3]!.sequence}`, state: 'open', asked: 2 },
    ]);
    await database.query('delete from audience_walk');
  });

  it('that fails leaves nothing behind, and is whole when it comes again', async () => {
    const batch = [message(['lost']), message(['lost'])];
    await expect(write(batch, true)).rejects.toThrow('the power went');
    expect(await count('notice', 'lost')).toBe(0);
    await write(batch);
    expect(await listInbox(database, 'lost')).toMatchObject({ unread: 2, position: 2 });
  });

  it('keeps the order of its events in the inbox', async () => {
    const batch = Array.from({ length: 20 }, () => message(['ordered', 'ordered-too']));
    await write(batch);
    const titles = (await listInbox(database, 'ordered')).items.map((item) => item.title);
    expect(titles.reverse()).toEqual(batch.map(({ sequence }) => `e${sequence}`));
  });

  it('notes a walk once, and the walk goes on where it was after a failure', async () => {
    await database.query(
      `insert into recipient (id, created_at, updated_at) select 'w' || n, now(), now() from generate_series(1, 1300) n`,
    );
    const all = message([], 'all');
    expect(await write([all])).toMatchObject({ walks: 1, appended: [] });
    expect(await write([all])).toMatchObject({ walks: 0 });
    const signals: HandlerSignal[] = [];
    let chunks = 0;
    const stumbling = walker(signals, () => ++chunks === 2);
    stumbling.start();
    await eventually(() => expect(signals.some((signal) => signal.name === 'handler.walk-failed')).toBe(true));
    await stumbling.stop();
    const [walk] = await database.query('select failures, people from audience_walk');
    expect(walk).toEqual({ failures: 1, people: 500 });
    await database.query('update audience_walk set due_at = now()');
    const second = walker(signals);
    second.start();
    await eventually(() => expect(signals.at(-1)).toMatchObject({ name: 'handler.walked', done: true }));
    await second.stop();
    const [{ people }] = (await database.query('select count(*)::int as people from recipient')) as [
      { people: number },
    ];
    const [made] = await database.query(
      `select count(*)::int as notices, count(distinct recipient_id)::int as people from notice where notification = 'everyone'`,
    );
    expect(made).toEqual({ notices: people, people });
  });

  it('ends a walk whose notification is no longer defined, and says so', async () => {
    await write([message([], 'all')]);
    const signals: HandlerSignal[] = [];
    const without = new AudienceWalker({
      database,
      definitions: compileDefinitions([]),
      finders: {},
      inbox: { appended: () => {} },
      wake: () => {},
      emit: (signal) => signals.push(signal),
    });
    without.start();
    await eventually(() => expect(signals).toMatchObject([{ name: 'handler.walked', people: 0, done: true }]));
    await without.stop();
    const [row] = await database.query(
      "select outcome, detail from trace where step = 'audience' order by id desc limit 1",
    );
    expect(row).toEqual({ outcome: 'refused', detail: 'The notification is no longer defined.' });
  });
});
