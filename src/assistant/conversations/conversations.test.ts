import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { useDatabase } from '../../../test/support/database.ts';
import { eventually } from '../../../test/support/eventually.ts';
import { appendActivities, replaceActivity } from './append.ts';
import { conversationOf, conversationsOf, noteOpened, openConversation } from './conversation.ts';
import { findActivity, readAfter } from './read.ts';
import { forgetConversationsOf, forgetOldConversations } from './retention.ts';
import { ConversationStreams } from './streams.ts';
import { findUpload, newUpload, storeUploads } from './uploads.ts';

const { database } = useDatabase();

const message = (text: string) => ({ type: 'message', text });
const picture = newUpload({ name: 'a.png', type: 'image/png', content: Buffer.from('png') }, 100);

function append(conversationId: string, texts: readonly string[]) {
  return database.transaction((tx) =>
    appendActivities(
      tx,
      texts.map((text) => ({ conversationId, activity: message(text) })),
    ),
  );
}

async function textsAfter(conversationId: string, after: number): Promise<string[]> {
  const said = await readAfter(database, [{ conversationId, after }], 1000);
  return said.map(({ content }) => JSON.parse(content).text);
}

describe('conversations', () => {
  test('a person has one standing conversation, however many ask at once, and any number of others', async () => {
    const asked = await Promise.all(Array.from({ length: 8 }, () => conversationOf(database, 'ada')));
    expect(new Set(asked.map(({ id }) => id)).size).toBe(1);
    expect((await openConversation(database, { recipientId: 'ada' })).id).not.toBe(asked[0]!.id);
    const many = await conversationsOf(database, ['ada', 'ben', 'ben']);
    expect([...many.keys()].sort()).toEqual(['ada', 'ben']);
    expect(many.get('ada')!.id).toBe(asked[0]!.id);
  });

  test('another agent has a standing conversation of its own', async () => {
    const [one, other] = await Promise.all([conversationOf(database, 'cid'), conversationOf(database, 'cid', 'hr')]);
    expect(one.id).not.toBe(other.id);
  });

  test('only the first connection is the first', async () => {
    const { id } = await openConversation(database, { recipientId: 'ada' });
    expect(await noteOpened(database, id, 'de')).toBe(true);
    expect(await noteOpened(database, id, undefined)).toBe(false);
    await expect(noteOpened(database, 'cnv_none', undefined)).rejects.toMatchObject({ code: 'conversation_not_found' });
  });
});

describe('activities', () => {
  test('writers at the same time leave no gap, and times only grow', async () => {
    const { id } = await openConversation(database, { recipientId: 'ada' });
    await Promise.all(Array.from({ length: 20 }, (_, n) => append(id, [`${n} a`, `${n} b`])));
    const said = await readAfter(database, [{ conversationId: id, after: 0 }], 1000);
    expect(said.map(({ sequence }) => sequence)).toEqual(Array.from({ length: 40 }, (_, n) => n + 1));
    const times = said.map(({ content }) => Date.parse(JSON.parse(content).timestamp));
    expect(times.every((time, at) => at === 0 || time > times[at - 1]!)).toBe(true);
  });

  test('the same id twice is said once, in one batch and in two', async () => {
    const { id: conversationId } = await openConversation(database, { recipientId: 'ada' });
    const item = { conversationId, id: 'notice-1', activity: message('once') };
    const first = await database.transaction((tx) => appendActivities(tx, [item, item]));
    const again = await database.transaction((tx) => appendActivities(tx, [item]));
    expect(first.map(({ known }) => known)).toEqual([false, true]);
    expect(again).toEqual([{ ...first[0]!, known: true }]);
    expect(await textsAfter(conversationId, 0)).toEqual(['once']);
  });

  test('a replaced activity keeps its id and time, and whoever reads on sees it', async () => {
    const { id } = await openConversation(database, { recipientId: 'ada' });
    const [card] = await append(id, ['card', 'later']);
    const change = { conversationId: id, id: card!.id, activity: message('decided') };
    const replaced = await database.transaction((tx) => replaceActivity(tx, change));
    expect(replaced).toMatchObject({ id: card!.id, sequence: 3, timestamp: card!.timestamp });
    expect(await textsAfter(id, 2)).toEqual(['decided']);
    expect(await textsAfter(id, 0)).toEqual(['later', 'decided']);
    expect(await findActivity(database, id, card!.id)).toMatchObject({
      text: 'decided',
      timestamp: card!.timestamp.toISOString(),
    });
  });

  test('an author replaces only its own, and nobody what is not there', async () => {
    const { id } = await openConversation(database, { recipientId: 'ada' });
    const [notice] = await append(id, ['notice']);
    for (const wrong of [{ id: notice!.id, author: 'agent' as const }, { id: 'act_none' }])
      await expect(
        database.transaction((tx) => replaceActivity(tx, { conversationId: id, activity: message('x'), ...wrong })),
      ).rejects.toMatchObject({ code: 'activity_not_found' });
    expect(await textsAfter(id, 0)).toEqual(['notice']);
  });

  test('a batch with a missing conversation writes nothing and names it', async () => {
    const { id } = await openConversation(database, { recipientId: 'ada' });
    const batch = [id, 'cnv_gone'].map((conversationId) => ({ conversationId, activity: message('x') }));
    await expect(database.transaction((tx) => appendActivities(tx, batch))).rejects.toMatchObject({
      code: 'conversation_not_found',
      details: { conversations: ['cnv_gone'] },
    });
    expect(await textsAfter(id, 0)).toEqual([]);
  });
});

describe('streams', () => {
  const emit = () => undefined;
  let here: ConversationStreams;
  let there: ConversationStreams;
  beforeAll(async () => {
    // So slow a poll that it cannot be what the tests see.
    const settings = { pollMs: 600_000 };
    here = await ConversationStreams.start({ database, emit, settings });
    there = await ConversationStreams.start({ database, emit, settings });
  });
  afterAll(async () => {
    await here.stop();
    await there.stop();
  });

  function listen(streams: ConversationStreams, conversationId: string, after = 0) {
    const heard: string[] = [];
    const state = { room: true, frames: 0 };
    const take = (said: readonly string[]) => heard.push(...said.map((each) => JSON.parse(each).text ?? 'typing'));
    const stream = streams.open(conversationId, after, {
      send: (said) => {
        state.frames++;
        take(said);
      },
      pass: (said) => take([said]),
      hasRoom: () => state.room,
      end: () => undefined,
    });
    return { heard, state, stream };
  }

  test('a stream tells the backlog, then what is said here and on another node, each once and in order', async () => {
    const { id } = await openConversation(database, { recipientId: 'ada' });
    await append(id, ['old 1', 'old 2']);
    const all = listen(here, id);
    const rest = listen(here, id, 1);
    await eventually(() => expect(all.heard).toEqual(['old 1', 'old 2']));
    await append(id, ['here']);
    here.wake([id]);
    await eventually(() => expect(all.heard.at(-1)).toBe('here'));
    await append(id, ['there']);
    there.wake([id]);
    await eventually(() => expect(all.heard).toEqual(['old 1', 'old 2', 'here', 'there']));
    await eventually(() => expect(rest.heard).toEqual(['old 2', 'here', 'there']));
    expect(all.stream.after).toBe(4);
    all.stream.close();
    rest.stream.close();
    expect(here.size).toBe(0);
  });

  test('a stream with nothing behind it tells at once that it is open', async () => {
    const { id } = await openConversation(database, { recipientId: 'ada' });
    const { heard, state, stream } = listen(here, id);
    await eventually(() => expect(state.frames).toBe(1));
    expect(heard).toEqual([]);
    stream.close();
  });

  test('typing passes to whoever listens, on any node, and is not kept', async () => {
    const { id } = await openConversation(database, { recipientId: 'ada' });
    const { heard, stream } = listen(here, id);
    there.typing(id, 'hr desk');
    await eventually(() => expect(heard).toEqual(['typing']));
    expect(await textsAfter(id, 0)).toEqual([]);
    stream.close();
  });

  test('a client without room gets everything once it has some', async () => {
    const { id } = await openConversation(database, { recipientId: 'ada' });
    const { heard, state, stream } = listen(here, id);
    state.room = false;
    await append(
      id,
      Array.from({ length: 250 }, (_, n) => `${n}`),
    );
    here.wake([id]);
    state.room = true;
    here.wake([id]);
    await eventually(() => expect(heard).toEqual(Array.from({ length: 250 }, (_, n) => `${n}`)));
    stream.close();
  });
});

describe('retention', () => {
  test('what is old goes; the standing conversation stays and its numbers go on', async () => {
    const standing = await conversationOf(database, 'old');
    const other = await openConversation(database, { recipientId: 'old' }, new Date('2020-01-01'));
    const longAgo = new Date('2020-01-01');
    const say = (conversationId: string, text: string, at?: Date) =>
      database.transaction((tx) => appendActivities(tx, [{ conversationId, activity: message(text) }], at));
    await say(other.id, 'old', longAgo);
    await database.query('update conversation set last_at = $1 where recipient_id = $2', [longAgo, 'old']);
    await say(standing.id, 'old', longAgo);
    await say(standing.id, 'new');
    await database.transaction((tx) => storeUploads(tx, standing.id, [picture], longAgo));
    const deleted = await forgetOldConversations(database, { now: new Date(), keepDays: 365 });
    expect(deleted).toBe(4);
    expect(await textsAfter(standing.id, 0)).toEqual(['new']);
    expect((await say(standing.id, 'next'))[0]!.sequence).toBe(3);
    expect(await findUpload(database, picture.id)).toBeUndefined();
    await expect(say(other.id, 'x')).rejects.toMatchObject({ code: 'conversation_not_found' });
  });

  test('a person who is forgotten leaves nothing behind, and open streams end', async () => {
    const { id } = await conversationOf(database, 'leaves');
    await append(id, ['secret']);
    const streams = await ConversationStreams.start({ database, emit: () => undefined, settings: { pollMs: 20 } });
    const ended: string[] = [];
    streams.open(id, 0, { send: () => {}, pass: () => {}, hasRoom: () => true, end: (why) => ended.push(why) });
    await database.transaction((tx) => forgetConversationsOf(tx, 'leaves'));
    await eventually(() => expect(ended[0]).toBe('gone'));
    await streams.stop();
    const [left] = await database.query<{ n: number }>(
      'select count(*) as n from activity where conversation_id = $1',
      [id],
    );
    expect(left!.n).toBe(0);
  });
});
