import { randomInt } from 'node:crypto';
import { afterEach, describe, expect, it } from 'vitest';
import { useDatabase } from '../../test/support/database.ts';
import { eventually } from '../../test/support/eventually.ts';
import { appendNotices, type NewNotice } from './append.ts';
import { markItems } from './mark.ts';
import { markInbox } from './mark-inbox.ts';
import type { InboxEvent, InboxReader } from './reader.ts';
import { InboxStream, type InboxStreamSettings } from './stream.ts';

let made = 0;

function notice(recipientId: string): NewNotice {
  made++;
  return {
    notice: {
      id: `ntc_${made}`,
      recipientId,
      topic: 'hr',
      partition: 0,
      sequence: made,
      eventId: `e${made}`,
      notification: 'joined',
      category: 'hr',
      urgency: 'normal',
      card: { title: `Notice ${made}` },
      createdAt: new Date(),
    },
    card: `{"title":"Notice ${made}"}`,
    toInbox: true,
  };
}

/** Collects what a reader hands out, without ever letting it wait. */
function collect(reader: InboxReader): { events: InboxEvent[]; positions: () => number[]; done: Promise<void> } {
  const events: InboxEvent[] = [];
  const run = async () => {
    for await (const event of reader) events.push(event);
  };
  const positions = () => events.flatMap((event) => (event.kind === 'item' ? [event.item.position] : []));
  return { events, positions, done: run() };
}

const upTo = (last: number, first = 1) => Array.from({ length: last - first + 1 }, (_, i) => first + i);

describe('an open stream', () => {
  const { database } = useDatabase();
  const streams: InboxStream[] = [];
  const start = async (settings: Partial<InboxStreamSettings> = {}) => {
    const stream = await InboxStream.start({ database, emit: () => {}, settings: { pollMs: 3_600_000, ...settings } });
    streams.push(stream);
    return stream;
  };
  const commit = (notices: readonly NewNotice[]) => database.transaction((tx) => appendNotices(tx, notices));
  const publish = async (stream: InboxStream, ...notices: readonly NewNotice[]) =>
    stream.appended(await commit(notices));

  afterEach(async () => {
    await Promise.all(streams.splice(0).map((stream) => stream.stop()));
  });

  it('begins with the counts and then tells each item as it is committed', async () => {
    const stream = await start();
    await publish(stream, notice('live'));
    const { events, positions } = collect(stream.reader('live'));
    await eventually(() => expect(events).toEqual([{ kind: 'counts', counts: { unseen: 1, unread: 1 } }]));
    await publish(stream, notice('live'), notice('live'));
    await eventually(() => expect(events).toHaveLength(4));
    expect(positions()).toEqual([2, 3]);
    expect(events.at(-1)).toEqual({ kind: 'counts', counts: { unseen: 3, unread: 3 } });
  });

  it('resumes after the position that the client had, however much came since', async () => {
    const stream = await start();
    await publish(stream, ...Array.from({ length: 200 }, () => notice('resume')));
    const { positions } = collect(stream.reader('resume', 3));
    await eventually(() => expect(positions()).toEqual(upTo(200, 4)));
  });

  it('starts over with a client that knows more than there is', async () => {
    const stream = await start();
    const { positions, events } = collect(stream.reader('reset', 500));
    await eventually(() => expect(events).toHaveLength(1));
    await publish(stream, notice('reset'));
    await eventually(() => expect(positions()).toEqual([1]));
  });

  it('loses and repeats nothing while several writers commit, however late they tell it', async () => {
    const stream = await start();
    const { positions } = collect(stream.reader('busy', 0));
    const writer = async () => {
      for (let turn = 0; turn < 10; turn++) {
        const appended = await commit(Array.from({ length: 1 + randomInt(4) }, () => notice('busy')));
        if (randomInt(3) > 0) await new Promise((resolve) => setImmediate(resolve));
        stream.appended(appended);
      }
    };
    await Promise.all([writer(), writer(), writer(), writer()]);
    const total = (await database.query('select 1 from inbox_item where recipient_id = $1', ['busy'])).length;
    await eventually(() => expect(positions()).toEqual(upTo(total)));
  });

  it('holds little for a client that takes nothing, and tells it everything once it does', async () => {
    const stream = await start();
    const reader = stream.reader('slow', 0);
    expect(await reader.next()).toMatchObject({ kind: 'counts' });
    for (let turn = 0; turn < 10; turn++) await publish(stream, ...Array.from({ length: 50 }, () => notice('slow')));
    expect(reader.queued).toBeLessThanOrEqual(64);
    const { positions } = collect(reader);
    await eventually(() => expect(positions()).toEqual(upTo(500)));
  });

  it('ends a stream whose client has taken nothing for too long', async () => {
    const stream = await start({ pollMs: 5, stalledAfterMs: 20 });
    const reader = stream.reader('stalled');
    await reader.next();
    await publish(stream, notice('stalled'));
    await eventually(() => expect(reader.ended).toBe('slow'));
    expect(await reader.next()).toBeUndefined();
    expect(stream.open).toBe(0);
  });

  it('hears from another node what was committed there', async () => {
    const [here, there] = [await start(), await start()];
    const { events, positions } = collect(here.reader('far', 0));
    await eventually(() => expect(events).toHaveLength(1));
    const one = notice('far');
    await publish(there, one);
    await eventually(() => expect(positions()).toEqual([1]));
    await markInbox({ database, stream: there }, 'far', { ids: [one.notice.id] }, 'read');
    await eventually(() => expect(events.at(-1)).toEqual({ kind: 'counts', counts: { unseen: 0, unread: 0 } }));
    expect(events.filter((event) => event.kind === 'changed')).toHaveLength(1);
  });

  it('finds by its poll what nobody told it', async () => {
    const stream = await start({ pollMs: 20 });
    const { positions, events } = collect(stream.reader('untold', 0));
    await eventually(() => expect(events).toHaveLength(1));
    const one = notice('untold');
    await commit([one]);
    await eventually(() => expect(positions()).toEqual([1]));
    await database.transaction((tx) => markItems(tx, 'untold', { ids: [one.notice.id] }, 'read'));
    await eventually(() => expect(events.map((event) => event.kind)).toContain('changed'));
  });

  it('listens again after its connection was cut', async () => {
    const [here, there] = [await start(), await start()];
    const { positions, events } = collect(here.reader('cut', 0));
    await eventually(() => expect(events).toHaveLength(1));
    await database.query(
      `select pg_terminate_backend(pid) from pg_stat_activity where application_name like '%inbox hints'`,
    );
    await publish(there, notice('cut'));
    await eventually(() => expect(positions()).toEqual([1]));
  });

  it('tells what was marked on another page of the same person', async () => {
    const stream = await start();
    const two = [notice('marked'), notice('marked')];
    await publish(stream, ...two);
    const { events } = collect(stream.reader('marked'));
    await eventually(() => expect(events).toHaveLength(1));
    const ids = [two[0]!.notice.id];
    expect(await markInbox({ database, stream }, 'marked', { ids }, 'seen')).toEqual({ unseen: 1, unread: 2 });
    await eventually(() =>
      expect(events.slice(1)).toEqual([
        { kind: 'changed', ids, as: 'seen' },
        { kind: 'counts', counts: { unseen: 1, unread: 2 } },
      ]),
    );
  });

  it('refuses more streams than allowed, and ends all of them when it stops', async () => {
    const stream = await start({ maxStreamsPerRecipient: 2 });
    const [a, b] = [stream.reader('many'), stream.reader('many')];
    expect(() => stream.reader('many')).toThrow(expect.objectContaining({ code: 'busy' }));
    const endings = [collect(a).done, collect(b).done];
    await stream.stop();
    await Promise.all(endings);
    expect([a.ended, b.ended, stream.open]).toEqual(['stopped', 'stopped', 0]);
    expect(() => stream.reader('many')).toThrow(expect.objectContaining({ code: 'stopping' }));
  });
});
