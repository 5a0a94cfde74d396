import { randomUUID } from 'node:crypto';
import { afterEach, describe, expect, it } from 'vitest';
import { useDatabase } from '../../test/support/database.ts';
import { eventually } from '../../test/support/eventually.ts';
import { markGone } from '../deliveries/gone.ts';
import { makeEvent } from '../events/cloudevent.ts';
import { toMessage } from '../events/to-message.ts';
import { listInbox } from '../inbox/feed.ts';
import { InboxStream } from '../inbox/stream.ts';
import { parsePreferences } from '../people/parse-preferences.ts';
import { getPreferences, putPreferences } from '../people/preference-records.ts';
import { putRecipient } from '../people/recipients.ts';
import { Broker } from '../topics/broker.ts';
import type { OutgoingMessage } from '../topics/message.ts';
import { emailEndpoints, type Finders, notSetUp } from './endpoints.ts';
import { Handler, type HandlerSignal } from './handler.ts';
import { type Category, compileDefinitions, type Notification } from './notification.ts';

type Data = { readonly to: readonly string[]; readonly text?: string; readonly amount?: number };

const note = (topic: string, over: Partial<Notification<Data>> = {}): Notification => {
  const notification: Notification<Data> = {
    name: `note-${topic}`,
    topic,
    category: 'notes',
    channels: ['inbox', 'email'],
    audience: (event) => event.data.to,
    content: (event, recipient) => ({
      title: `${event.data.text ?? 'Hello'}, ${recipient.displayName ?? recipient.id}`,
    }),
    ...over,
  };
  return notification as Notification; // true: these tests publish events of this data
};

function event(data: Data, over: Record<string, unknown> = {}): OutgoingMessage {
  const attributes = { specversion: '1.0', id: randomUUID(), source: '/test', type: 'noted', ...over };
  const json = { ...attributes, datacontenttype: 'application/json' };
  return toMessage(makeEvent(json, { data, raw: Buffer.from(JSON.stringify(data)) }, new Date()));
}

describe('the handler', () => {
  const { database } = useDatabase();
  const running: { stop(): Promise<void> }[] = [];
  let topics = 0;

  afterEach(async () => {
    for (const each of running.splice(0).reverse()) await each.stop();
  });

  async function start(
    define: (topic: string) => Notification[],
    options: { categories?: Record<string, Category>; finders?: Finders; handlers?: number } = {},
  ) {
    const topic = `topic-${++topics}`;
    const broker = await Broker.start({ database, emit: () => {}, node: { id: randomUUID() } });
    const stream = await InboxStream.start({ database, emit: () => {} });
    running.push(broker, stream);
    await broker.createTopic(topic, { settings: { duplicateDetection: true } });
    const signals: HandlerSignal[] = [];
    let wakes = 0;
    const deps = {
      database,
      broker,
      definitions: compileDefinitions(define(topic), options.categories),
      finders: options.finders ?? { email: emailEndpoints },
      inbox: stream,
      wake: () => wakes++,
      emit: (signal: HandlerSignal) => signals.push(signal),
    };
    running.push(await Handler.start(deps));
    const handled = (count: number) =>
      eventually(() => {
        const events = signals.reduce((sum, each) => sum + (each.name === 'handler.batch' ? each.events : 0), 0);
        expect(events).toBe(count);
      });
    return { topic, broker, stream, signals, handled, wakes: () => wakes };
  }

  const titles = async (id: string) => (await listInbox(database, id)).items.map((item) => item.title);
  const person = (id: string, over: object = {}) => database.transaction((tx) => putRecipient(tx, id, over));
  const prefer = (id: string, preferences: unknown) =>
    database.transaction((tx) => putPreferences(tx, id, parsePreferences(preferences)));
  const trace = (topic: string) =>
    database.query<Record<string, unknown>>(
      'select recipient_id, notification, channel, step, outcome, detail from trace where topic = $1 order by id',
      [topic],
    );

  it('tells those whom an event concerns, and makes the record of whom nobody has seen before', async () => {
    const { topic, broker, handled } = await start((topic) => [note(topic)]);
    await person('known', { displayName: 'Ada' });
    await broker.publish(topic, [event({ to: ['known', 'stranger'], text: 'Hi' })]);
    await handled(1);
    expect(await titles('known')).toEqual(['Hi, Ada']);
    expect(await titles('stranger')).toEqual(['Hi, stranger']);
    expect(await getPreferences(database, 'stranger')).toMatchObject({
      SendNotificationToMobileDevice: true,
      SendNotificationToConversation: true,
    });
    expect(await database.query("select settings from preference where recipient_id = 'stranger'")).toEqual([
      { settings: {} },
    ]);
  });

  it('plans a delivery over each channel that the person wants and can be reached by', async () => {
    const { topic, broker, handled, wakes } = await start((topic) => [note(topic)]);
    await person('mailed', { email: 'm@example.org' });
    await broker.publish(topic, [event({ to: ['mailed', 'no-mail'] })]);
    await handled(1);
    const planned = await database.query(
      "select recipient_id, channel, endpoint from delivery where recipient_id like '%mail%'",
    );
    expect(planned).toEqual([{ recipient_id: 'mailed', channel: 'email', endpoint: 'm@example.org' }]);
    expect(wakes()).toBe(1);
    expect(
      (await trace(topic)).map(({ recipient_id, channel, step, outcome, detail }) => [
        recipient_id,
        channel,
        step,
        outcome,
        detail,
      ]),
    ).toEqual([
      [null, null, 'match', 'matched', `note-${topic}`],
      ['mailed', null, 'decide', 'notice', 'inbox on (default), email on (default)'],
      ['mailed', 'email', 'plan', 'planned', null],
      ['no-mail', null, 'decide', 'notice', 'inbox on (default), email no endpoint'],
    ]);
  });

  it('says that a channel is not set up here, and by what it is, to people with and without an address', async () => {
    const finders = { email: notSetUp('CARILLON_SMTP_URL names the mail server') };
    const { topic, broker, handled } = await start((topic) => [note(topic)], { finders });
    await person('addressed', { email: 'm@example.org' });
    await broker.publish(topic, [event({ to: ['addressed', 'no-address'] })]);
    await handled(1);
    const words = 'inbox on (default), email not set up: CARILLON_SMTP_URL names the mail server';
    expect((await trace(topic)).filter(({ step }) => step === 'decide').map(({ detail }) => detail)).toEqual([
      words,
      words,
    ]);
    expect(await database.query("select id from delivery where recipient_id like '%address%'")).toEqual([]);
  });

  it('leaves out an address that mail servers call dead, and says so', async () => {
    const { topic, broker, handled } = await start((topic) => [note(topic)]);
    await person('dead', { email: 'dead@example.org' });
    const gone = { channel: 'email', recipientId: 'dead', endpoint: 'dead@example.org', cause: 'smtp_550' } as const;
    await database.transaction((tx) => markGone(tx, [gone]));
    await broker.publish(topic, [event({ to: ['dead'] })]);
    await handled(1);
    expect(await database.query("select id from delivery where recipient_id = 'dead'")).toEqual([]);
    expect((await trace(topic)).at(-1)).toMatchObject({
      detail: 'inbox on (default), email no endpoint: the mail address is dead, smtp_550',
    });
  });

  it('stays silent where the person chose so, and says why', async () => {
    const { topic, broker, handled } = await start((topic) => [note(topic, { channels: ['inbox', 'mobile'] })], {
      finders: { mobile: (_tx, ids) => new Map(ids.map((id) => [id, [null]])) },
    });
    await prefer('quiet', { SendNotificationToMobileDevice: false, categories: { notes: { inbox: false } } });
    await broker.publish(topic, [event({ to: ['quiet'] })]);
    await handled(1);
    expect(await titles('quiet')).toEqual([]);
    expect(await database.query("select id from delivery where recipient_id = 'quiet'")).toEqual([]);
    expect((await trace(topic)).at(-1)).toMatchObject({
      outcome: 'silent',
      detail: 'inbox off (chosen for this category), mobile off (switched off for this channel)',
    });
  });

  it('plans for the end of the quiet hours, and says so', async () => {
    const { topic, broker, handled } = await start((topic) => [note(topic)]);
    await person('sleeper', { email: 's@example.org', timeZone: 'Asia/Tokyo' });
    const minute = (offset: number) =>
      new Date(Date.now() + offset * 60_000 + 9 * 3_600_000).toISOString().slice(11, 16);
    await prefer('sleeper', { quietHours: { from: minute(-5), to: minute(5) } });
    await broker.publish(topic, [event({ to: ['sleeper'], text: 'Later' })]);
    await handled(1);
    expect(await titles('sleeper')).toEqual(['Later, sleeper']);
    const [planned] = await database.query<{ due_at: Date }>(
      "select due_at from delivery where recipient_id = 'sleeper'",
    );
    expect(planned!.due_at.getTime() - Date.now()).toBeGreaterThan(3 * 60_000);
    expect((await trace(topic)).at(-1)).toMatchObject({ detail: `quiet hours until ${planned!.due_at.toISOString()}` });
  });

  it("asks the person's own condition about the event", async () => {
    const { topic, broker, handled } = await start((topic) => [note(topic)], {
      categories: { notes: { defaults: { when: '[data.amount] > 100' } } },
    });
    await prefer('chose', { categories: { notes: { when: '[data.amount] >= 500' } } });
    const to = ['chose', 'never-chose'];
    await broker.publish(
      topic,
      [50, 200, 700].map((amount) => event({ to, amount, text: `${amount}` })),
    );
    await handled(3);
    expect(await titles('chose')).toEqual(['700, chose']);
    expect(await titles('never-chose')).toEqual(['700, never-chose', '200, never-chose']);
  });

  it('passes over events that no notification asks for', async () => {
    const { topic, broker, handled } = await start((topic) => [note(topic, { when: "type = 'wanted'" })]);
    await broker.publish(topic, [
      event({ to: ['passed'] }),
      event({ to: ['passed'], text: 'Yes' }, { type: 'wanted' }),
    ]);
    await handled(2);
    expect(await titles('passed')).toEqual(['Yes, passed']);
    expect((await trace(topic)).map((row) => row.outcome)).toEqual(['none', 'matched', 'notice']);
  });

  it('dead-letters an event on which a definition fails, with the cause, and goes on with the others', async () => {
    const { topic, broker, handled, signals } = await start((topic) => [
      note(topic, {
        content: ({ data }, { id }) => {
          if (data.text === 'bad' && id === 'second') throw new TypeError('no template');
          return { title: data.text ?? '' };
        },
      }),
    ]);
    await broker.publish(topic, [
      event({ to: ['first'], text: 'one' }),
      event({ to: ['first', 'second'], text: 'bad' }, { id: 'the bad one' }),
      event({} as Data),
      event({ to: ['white space'] }),
      event({ to: ['first'], text: 'two' }),
    ]);
    await handled(5);
    expect(await titles('first')).toEqual(['two', 'one']);
    const held = await database.query<{ reason: string; description: string }>(
      'select reason, description from held order by sequence',
    );
    expect(held.map(({ reason, description }) => `${reason}: ${description}`)).toEqual([
      `NotificationFailed: The content of notification note-${topic} failed: TypeError: no template`,
      expect.stringMatching(/^NotificationFailed: The audience of notification .* failed/),
      expect.stringMatching(/^NotificationFailed: .*"white space", which is no recipient id/),
    ]);
    expect(signals.filter((signal) => signal.name === 'handler.refused')).toHaveLength(3);
    const refused = await database.query("select event_id from trace where topic = $1 and outcome = 'refused'", [
      topic,
    ]);
    expect(refused).toContainEqual({ event_id: 'the bad one' });
    expect(refused).toHaveLength(3);
  });

  it('dead-letters what is no event and what cannot be stored, and only that', async () => {
    const { topic, broker, handled } = await start((topic) => [
      note(topic, { audience: () => ['sound'], content: () => ({ title: 'Sound' }) }),
    ]);
    const plain = { contentType: 'application/json', body: Buffer.from('{}') };
    await broker.publish(topic, [
      { ...plain, messageId: 'good' },
      { ...plain, messageId: 'nul\0' },
      { contentType: 'application/json', body: Buffer.from('{') },
      event({ to: [] }),
    ]);
    await handled(4);
    expect(await titles('sound')).toEqual(['Sound', 'Sound']);
    const held = await database.query('select reason from held where reason <> $1 order by sequence', [
      'NotificationFailed',
    ]);
    expect(held).toEqual([{ reason: 'EventNotStorable' }, { reason: 'EventUnreadable' }]);
  });

  it('two handlers that see a new person at once make one record and deadlock never', async () => {
    const first = await start((topic) => [note(topic)]);
    const second = await start((topic) => [note(topic)]);
    const people = Array.from({ length: 40 }, (_, i) => `new-${i}`);
    const shuffled = () => [...people].sort(() => Math.random() - 0.5);
    const publish = ({ broker, topic }: typeof first) =>
      Promise.all(Array.from({ length: 20 }, () => broker.publish(topic, [event({ to: shuffled() })])));
    await Promise.all([publish(first), publish(second)]);
    await Promise.all([first.handled(20), second.handled(20)]);
    const [counted] = await database.query("select count(*) from preference where recipient_id like 'new-%'");
    expect(counted).toEqual({ count: 40 });
    for (const id of people) expect(await listInbox(database, id)).toMatchObject({ position: 40, unread: 40 });
    expect([...first.signals, ...second.signals].filter((signal) => signal.name === 'handler.refused')).toEqual([]);
  });

  it('tells each event once although the connections to the database are cut again and again', async () => {
    const { topic, broker, stream, signals } = await start((topic) => [note(topic)]);
    const cut = () =>
      database.query(
        'select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()',
      );
    const reader = stream.reader('survivor', 0);
    const seen: number[] = [];
    const watching = (async () => {
      for (let next = await reader.next(); next; next = await reader.next())
        if (next.kind === 'item') seen.push(next.item.position);
    })().catch(() => {}); // a cut ends the stream
    const insist = async (message: OutgoingMessage): Promise<void> => {
      // An outage leaves open whether the event is in the log; its id makes the second try harmless.
      await broker.publish(topic, [message]).catch(() => eventually(() => broker.publish(topic, [message])));
    };
    for (let round = 0; round < 6; round++) {
      const publishing = Promise.all(
        Array.from({ length: 20 }, () => insist(event({ to: ['survivor', `s-${round}`] }))),
      );
      await cut().catch(() => {});
      await publishing;
    }
    await eventually(
      async () => expect(await listInbox(database, 'survivor')).toMatchObject({ position: 120, unread: 120 }),
      20_000,
    );
    await eventually(() => expect(seen.length + (reader.ended ? 120 : 0)).toBeGreaterThanOrEqual(120));
    expect(seen).toEqual(seen.map((_, i) => i + 1));
    // A batch whose commit was in doubt comes again, and nothing of it is refused for being there already.
    expect(signals.filter((signal) => signal.name === 'handler.refused')).toEqual([]);
    reader.close();
    await watching;
  });

  it('walks through the people whom a rule matches, and notes how many', async () => {
    const rule = { where: "team = 'sales'" };
    const { topic, broker, signals, stream } = await start((topic) => [note(topic, { audience: () => rule })]);
    await database.query(
      `insert into recipient (id, attributes, created_at, updated_at)
       select 'walk-' || n, jsonb_build_object('team', case when n % 2 = 0 then 'sales' else 'hr' end), now(), now()
       from generate_series(1, 1200) as n`,
    );
    await prefer('walk-2', { categories: { notes: { inbox: false } } });
    const reader = stream.reader('walk-1000', 0);
    expect(await reader.next()).toMatchObject({ kind: 'counts' });
    await broker.publish(topic, [event({ to: [], text: 'All of sales' })]);
    await eventually(() =>
      expect(signals).toContainEqual(expect.objectContaining({ name: 'handler.walked', done: true })),
    );
    const [counted] = await database.query(
      "select count(*) from notice where recipient_id like 'walk-%' and topic = $1",
      [topic],
    );
    expect(counted).toEqual({ count: 599 });
    expect(await titles('walk-1')).toEqual([]);
    expect(await database.query('select id from audience_walk')).toEqual([]);
    expect(await trace(topic)).toContainEqual(
      expect.objectContaining({ step: 'audience', outcome: 'walked', detail: '600 people, 599 new notices' }),
    );
    expect(await reader.next()).toMatchObject({ item: { title: 'All of sales, walk-1000' } });
    reader.close();
  });

  it('tells everyone but those for whom the content fails', async () => {
    const content: Notification<Data>['content'] = (_event, { id }) => {
      if (id === 'walk-7') throw new Error('no words');
      return { title: 'Everyone' };
    };
    const { topic, broker, signals } = await start((topic) => [
      note(topic, { audience: () => ({ everyone: true }), content }),
    ]);
    await broker.publish(topic, [event({ to: [] })]);
    const done = () => signals.filter((signal) => signal.name === 'handler.walked' && signal.done).length;
    await eventually(() => expect(done()).toBe(1));
    expect((await titles('walk-8')).filter((title) => title === 'Everyone')).toHaveLength(1);
    expect(await trace(topic)).toContainEqual(
      expect.objectContaining({
        recipient_id: 'walk-7',
        outcome: 'refused',
        detail: 'The content failed: Error: no words',
      }),
    );
  });

  it('tells an open stream at once', async () => {
    const { topic, broker, stream } = await start((topic) => [note(topic)]);
    const reader = stream.reader('watching');
    expect(await reader.next()).toMatchObject({ kind: 'counts' });
    await broker.publish(topic, [event({ to: ['watching'], text: 'Look' })]);
    expect(await reader.next()).toMatchObject({ kind: 'item', item: { position: 1, title: 'Look, watching', topic } });
    reader.close();
  });
});
