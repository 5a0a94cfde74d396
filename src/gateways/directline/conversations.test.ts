// Conversations by plain requests: what clients never do by themselves, or only now and then.
import { describe, expect, test } from 'vitest';
import { KEY } from '../../../test/support/direct-line.ts';
import { texts, useDoor } from '../../../test/support/door.ts';
import { eventually } from '../../../test/support/eventually.ts';
import { appendActivities } from '../../assistant/conversations/append.ts';

const { agent, another, line, notice, poll } = useDoor();

describe('conversations', () => {
  test('the first start is 201 and tells the agent who takes part, with the role; later ones are 200', async () => {
    const token = await line.node.generate('cid', { conversation: 'new' });
    const start = () => line.node.call('POST', '/conversations', token.token, { user: {}, locale: 'de-DE' });
    const first = await start();
    expect(first.status).toBe(201);
    expect(first.json.streamUrl).toMatch(/^ws:\/\/127\.0\.0\.1:\d+\/v3\/directline\/conversations\/cnv_.+\/stream\?t=/);
    await eventually(() => expect(agent.told).toHaveLength(1));
    expect(agent.told[0]!.body).toMatchObject({
      type: 'conversationUpdate',
      channelId: 'directline',
      serviceUrl: line.node.url,
      locale: 'de-DE',
      from: { id: 'cid', role: 'user' },
      recipient: { id: 'assistant', role: 'bot' },
      conversation: { id: token.conversationId },
      membersAdded: [
        { id: 'assistant', role: 'bot' },
        { id: 'cid', role: 'user' },
      ],
    });
    expect((await start()).status).toBe(200);
    await line.node.say(token, 'hello');
    expect(agent.told.map(({ body }) => body.type)).toEqual(['conversationUpdate', 'message']);
  });

  test('an agent that was away at the start is told with the first message', async () => {
    const token = await line.node.generate('dee', { conversation: 'new' });
    agent.answer = { status: 500 };
    expect((await line.node.call('POST', '/conversations', token.token, {})).status).toBe(201);
    await eventually(() => expect(agent.told).toHaveLength(1));
    agent.answer = { status: 200 };
    await eventually(async () => {
      agent.told.length = 0;
      await line.node.say(token, 'hello');
      expect(agent.told.map(({ body }) => body.type)).toEqual(['conversationUpdate', 'message']);
    });
  });

  test('a stop waits for the greeting that is under way: one that fails is made up for later', async () => {
    const node = await another();
    const token = await node.generate('gwen', { conversation: 'new' });
    agent.answer = { status: 200, never: true };
    expect((await node.call('POST', '/conversations', token.token, {})).status).toBe(201);
    await eventually(() => expect(agent.told).toHaveLength(1));
    await node.stop();
    const rows = await line.node.database.query('select greeted_at from conversation where id = $1', [
      token.conversationId,
    ]);
    expect(rows).toEqual([{ greeted_at: null }]);
  });

  test('a key starts a conversation for the person it names, and speaks as that person', async () => {
    const { status, json } = await line.node.call('POST', '/conversations', KEY, { user: { id: 'eve' } });
    expect(status).toBe(201);
    const said = await line.node.say({ ...json, token: KEY }, 'by key');
    expect(said.status).toBe(200);
    expect((await poll(json)).activities).toMatchObject([{ text: 'by key', from: { id: 'eve' } }]);
  });

  test('what is not there: 404 for the conversation of a key, 403 without a token that fits, 401 without any', async () => {
    const at = (secret: string | undefined) => line.node.call('GET', '/conversations/cnv_none', secret);
    expect((await at(KEY)).json.error.code).toBe('ConversationNotFound');
    expect((await at('wrong')).status).toBe(403);
    expect((await at(undefined)).status).toBe(401);
  });
});

describe('what people say', () => {
  test('is echoed with its id, time and client id, and from.id is forced from the token', async () => {
    const token = await line.node.generate('fay', { conversation: 'new', user: { id: 'fay', name: 'Fay' } });
    const { status, json } = await line.node.say(token, 'hi', { channelData: { clientActivityID: 'c1' } });
    expect(status).toBe(200);
    const { activities, watermark } = await poll(token);
    expect(activities).toMatchObject([
      {
        id: json.id,
        text: 'hi',
        from: { id: 'fay', name: 'Fay', role: 'user' },
        channelData: { clientActivityID: 'c1' },
        channelId: 'directline',
        conversation: { id: token.conversationId },
      },
    ]);
    expect(Date.parse(activities[0]!.timestamp!)).toBeGreaterThan(Date.now() - 60_000);
    expect(watermark).toBe('1');
    expect((await poll(token, '1')).activities).toEqual([]);
  });

  test('twice under the same client id is said once; other words under that id are not lost', async () => {
    const token = await line.node.generate('gus', { conversation: 'new' });
    const same = { channelData: { clientActivityID: 'c1' } };
    const [one, again] = [await line.node.say(token, 'hi', same), await line.node.say(token, 'hi', same)];
    expect(again.json.id).toBe(one.json.id);
    await line.node.say(token, 'other', same);
    expect(texts((await poll(token)).activities)).toEqual(['hi', 'other']);
  });

  test('reaches the agent without nulls and empty strings; what was filled in stays', async () => {
    const token = await line.node.generate('hal', { conversation: 'new' });
    const value = { comment: '', amount: null };
    await line.node.say(token, '', { locale: '', replyToId: null as never, value, name: 'x' });
    const { body } = agent.told.at(-1)!;
    expect(body).toMatchObject({ type: 'message', value, name: 'x', from: { id: 'hal', role: 'user' } });
    for (const field of ['locale', 'replyToId', 'text']) expect(body).not.toHaveProperty(field);
  });

  test('an agent that fails, or takes too long, is 502; the words are kept and shown', async () => {
    const token = await line.node.generate('ian', { conversation: 'new' });
    agent.answer = { status: 500 };
    const failed = await line.node.say(token, 'one');
    expect(failed).toMatchObject({ status: 502, json: { error: { code: 'BotError' } } });
    agent.answer = { status: 200, never: true };
    const late = await line.node.say(token, 'two');
    expect(late.status).toBe(502);
    expect(late.json.error.message).toContain('did not answer within 1 s');
    expect(texts((await poll(token)).activities)).toEqual(['one', 'two']);
  });

  test('BroadcastEvent from a user is refused, whatever its case', async () => {
    const token = await line.node.generate('ivy', { conversation: 'new' });
    for (const name of ['BroadcastEvent', 'broadcastevent']) {
      const event = { type: 'event', name, value: { UserId: 'ben', Message: 'spoofed' } };
      const { status, json } = await line.node.say(token, '', event);
      expect({ status, code: json.error.code }).toEqual({ status: 403, code: 'Forbidden' });
    }
    expect(agent.told).toEqual([]);
    expect((await poll(token)).activities).toEqual([]);
  });

  test('typing is handed on and not kept', async () => {
    const token = await line.node.generate('jan', { conversation: 'new' });
    expect((await line.node.say(token, '', { type: 'typing' })).status).toBe(200);
    expect(agent.told.at(-1)!.body.type).toBe('typing');
    expect((await poll(token)).activities).toEqual([]);
  });

  test('an invoke is answered with what the agent answers', async () => {
    const token = await line.node.generate('kim', { conversation: 'new' });
    await line.node.say(token, 'first');
    agent.answer = { status: 200, body: { statusCode: 200, type: 'x', value: 1 } };
    const { json } = await line.node.say(token, '', { type: 'invoke', name: 'adaptiveCard/action', value: {} });
    expect(json).toMatchObject({ status: 200, body: { statusCode: 200, value: 1 } });
  });

  test('expected replies come in the answer and are shown', async () => {
    const token = await line.node.generate('leo', { conversation: 'new' });
    await line.node.say(token, 'first');
    agent.answer = { status: 200, body: { activities: [{ type: 'message', text: 'reply' }, { type: 'trace' }] } };
    await line.node.say(token, 'second', { deliveryMode: 'expectReplies' });
    expect(texts((await poll(token)).activities)).toEqual(['first', 'second', 'reply']);
  });

  test('nonsense changes nothing and is told what is wrong', async () => {
    const token = await line.node.generate('lou', { conversation: 'new' });
    const path = `/conversations/${token.conversationId}/activities`;
    const wrong: [unknown, number][] = [
      [{}, 400],
      [[], 400],
      ['text', 400],
      [{ type: 'conversationUpdate' }, 400],
      [{ type: 'message', text: 7 }, 400],
      [{ type: 'message', attachments: 'x' }, 400],
      [{ type: 'message', attachments: [{}] }, 400],
      [{ type: 'message', attachments: [{ contentType: 'image/png', contentUrl: 'javascript:alert(1)' }] }, 400],
      [{ type: 'message', channelData: 'x' }, 400],
    ];
    for (const [body, status] of wrong) {
      const { status: got, json } = await line.node.call('POST', path, token.token, body);
      expect({ got, code: json.error.code }).toEqual({ got: status, code: 'BadArgument' });
    }
    const form = { 'content-type': 'text/plain' };
    expect((await line.node.call('POST', path, token.token, { type: 'message' }, form)).status).toBe(415);
    const big = await line.node.say(token, 'x'.repeat(300_000));
    expect(big).toMatchObject({ status: 413, json: { error: { code: 'MessageSizeTooBig' } } });
    expect((await poll(token)).activities).toEqual([]);
    expect(agent.told).toEqual([]);
  });

  test('a thumbnail inside the activity may be small, not large', async () => {
    const token = await line.node.generate('mia', { conversation: 'new' });
    const file = (thumbnailUrl: string) => ({
      contentType: 'image/png',
      contentUrl: 'https://a.example/x',
      thumbnailUrl,
    });
    const [small, large] = [file('data:image/png;base64,AAAA'), file(`data:image/png;base64,${'A'.repeat(70_000)}`)];
    await line.node.say(token, 'pictures', { attachments: [small, large] });
    const { attachments } = (await poll(token)).activities[0] as never as { attachments: { thumbnailUrl?: string }[] };
    expect(attachments.map(({ thumbnailUrl }) => thumbnailUrl?.length)).toEqual([small.thumbnailUrl.length, undefined]);
  });
});

describe('polling', () => {
  test('an empty or senseless watermark gives the past, one from the future what comes', async () => {
    const token = await line.node.generate('ned', { conversation: 'new' });
    await notice(token.conversationId, 'one');
    for (const watermark of ['', 'abc', '-1'])
      expect(texts((await poll(token, watermark)).activities)).toEqual(['one']);
    const { activities, watermark } = await poll(token, '999999');
    expect([activities, watermark]).toEqual([[], '1']);
  });

  test('a long past comes from its last part, in portions', async () => {
    const token = await line.node.generate('oli', { conversation: 'new' });
    const { database } = line.node;
    await database.transaction((tx) =>
      appendActivities(
        tx,
        Array.from({ length: 450 }, (_, n) => ({
          conversationId: token.conversationId,
          activity: { type: 'message', text: `${n}` },
        })),
      ),
    );
    const seen: (string | undefined)[] = [];
    for (let watermark = ''; ; ) {
      const page = await poll(token, watermark);
      if (page.activities.length === 0) break;
      seen.push(...texts(page.activities));
      watermark = page.watermark;
    }
    expect(seen).toEqual(Array.from({ length: 200 }, (_, n) => `${n + 250}`));
  });

  test('never answers 5xx: without the database there is nothing new, and the place stays', async () => {
    const token = await line.node.generate('pam', { conversation: 'new' });
    const { database } = line.node;
    const real = database.query;
    const away = Object.assign(new Error('connect'), { code: 'ECONNREFUSED' });
    for (const error of [away, new Error('a bug')]) {
      database.query = () => Promise.reject(error);
      try {
        expect(await poll(token, '7')).toEqual({ status: 200, activities: [], watermark: '7' });
      } finally {
        database.query = real;
      }
    }
  });

  test('a start and a reconnect go on without the database', async () => {
    const token = await line.node.generate('pat', { conversation: 'new' });
    const { database } = line.node;
    const real = database.query;
    database.query = () => Promise.reject(Object.assign(new Error('connect'), { code: 'ECONNREFUSED' }));
    try {
      const start = await line.node.call('POST', '/conversations', token.token, {});
      const again = await line.node.call('GET', `/conversations/${token.conversationId}?watermark=3`, token.token);
      expect([start.status, again.status]).toEqual([200, 200]);
      expect(again.json.streamUrl).toContain('watermark=3');
    } finally {
      database.query = real;
    }
  });
});

describe('paths that are not there', () => {
  test('are told in the form of the protocol', async () => {
    for (const [method, path] of [
      ['GET', '/nothing'],
      ['PUT', '/conversations'],
      ['GET', '/v3/conversations/x/nothing'],
    ] as const) {
      const { status, json } = await line.node.call(method, path, KEY);
      expect({ status, code: json.error?.code }).toEqual({ status: 404, code: 'NotFound' });
    }
  });
});

describe('limits', () => {
  test('429 says how long to wait', async () => {
    const { Limiter } = await import('./limits.ts');
    const limiter = new Limiter('messages', { ratePerSecond: 1, burst: 2 });
    limiter.take('a', 0);
    limiter.take('a', 0);
    expect(() => limiter.take('a', 0)).toThrow(
      expect.objectContaining({ code: 'too_many_requests', details: { retryAfterSeconds: 1 } }),
    );
    limiter.take('b', 0);
    limiter.take('a', 1001);
  });

  test('starts of a page that start over and over are slowed down, with Retry-After', async () => {
    const { token } = await line.node.generate('zoe');
    let last = await line.node.call('POST', '/conversations', token, {});
    for (let n = 0; n < 30 && last.status !== 429; n++)
      last = await line.node.call('POST', '/conversations', token, {});
    expect(last).toMatchObject({ status: 429, json: { error: { code: 'TooManyRequests' } } });
    expect(Number(last.headers.get('retry-after'))).toBeGreaterThan(0);
  });
});
