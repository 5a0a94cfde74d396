// The door by plain requests: what clients never do by themselves, or only now and then.
import { createServer, get, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';
import { decodeJwt, SignJWT } from 'jose';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { KEY, type Token, useDirectLine } from '../../../test/support/direct-line.ts';
import { eventually } from '../../../test/support/eventually.ts';
import { appendActivities, replaceActivity } from '../../assistant/conversations/append.ts';

// A stand-in for an agent: what it was told, and what it answers.
type Told = { readonly headers: IncomingMessage['headers']; readonly body: Record<string, unknown> };
const told: Told[] = [];
let answer: { status: number; body?: unknown; never?: boolean } = { status: 200 };
const standIn = createServer(async (request, response) => {
  const body = (await json(request)) as Record<string, unknown>;
  told.push({ headers: request.headers, body });
  if (answer.never) return;
  response.writeHead(answer.status, { 'content-type': 'application/json' });
  response.end(answer.body === undefined ? '' : JSON.stringify(answer.body));
});

const line = useDirectLine(async () => {
  await new Promise<void>((resolve) => standIn.listen(0, '127.0.0.1', resolve));
  const { port } = standIn.address() as AddressInfo;
  const url = `http://127.0.0.1:${port}/api/messages`;
  return {
    agents: [
      { name: 'assistant', url, auth: 'anonymous' },
      { name: 'other', url, auth: 'anonymous' },
    ],
    settings: { agentTimeout: 1, corsOrigins: ['https://backend.example'] },
  };
});
afterAll(() => standIn.close());
beforeEach(() => {
  told.length = 0;
  answer = { status: 200 };
});

const texts = (activities: readonly { text?: string }[]) => activities.map(({ text }) => text);

async function poll({ conversationId, token }: Token, watermark = '') {
  const path = `/conversations/${conversationId}/activities?watermark=${watermark}`;
  const { status, json } = await line.node.call('GET', path, token);
  return { status, ...json } as { status: number; activities: Record<string, never>[]; watermark: string };
}

async function notice(conversationId: string, text: string, id?: string) {
  const { database, assistant } = line.node;
  const activity = { type: 'message', text };
  const [posted] = await database.transaction((tx) =>
    appendActivities(tx, [{ conversationId, activity, ...(id && { id }) }]),
  );
  assistant.streams.wake([conversationId]);
  return posted!;
}

describe('tokens', () => {
  test('a token is a JWT with the claim user, and lives 30 minutes', async () => {
    const { token, expires_in, conversationId } = await line.node.generate('ada');
    expect(decodeJwt(token)).toMatchObject({ user: 'ada', conv: conversationId });
    expect(expires_in).toBeGreaterThanOrEqual(1800);
  });

  test('tokens of a person lead to one conversation, unless a new one is wanted', async () => {
    const [one, other, fresh] = [
      await line.node.generate('ada'),
      await line.node.generate('ada'),
      await line.node.generate('ada', { conversation: 'new' }),
    ];
    expect(other.conversationId).toBe(one.conversationId);
    expect(fresh.conversationId).not.toBe(one.conversationId);
  });

  test('without a person, with an unknown agent, with a key that may not, with no key: refused, each by its words', async () => {
    const { access } = line.node;
    const { secret } = await access.createKey({ name: 'hr', grants: [{ right: 'send', entity: 'recipient:hr-*' }] });
    const generate = (key: string | undefined, body: unknown) => line.node.call('POST', '/tokens/generate', key, body);
    const cases = [
      [await generate(KEY, {}), 400, 'BadArgument'],
      [await generate(KEY, { user: { id: 'no such id' } }), 400, 'BadArgument'],
      [await generate(KEY, { user: { id: 'ada' }, agent: 'nobody' }), 400, 'BadArgument'],
      [await generate(KEY, { user: { id: 'ada' }, trustedOrigins: ['nonsense'] }), 400, 'BadArgument'],
      [await generate(secret, { user: { id: 'ada' } }), 403, 'Forbidden'],
      [await generate(undefined, { user: { id: 'ada' } }), 401, 'Unauthorized'],
      [await generate('wrong-key-wrong-key', { user: { id: 'ada' } }), 401, 'Unauthorized'],
    ] as const;
    for (const [{ status, json }, expected, code] of cases) {
      expect({ status, code: json.error.code }).toEqual({ status: expected, code });
      expect(json.error.message).toMatch(/\.$/);
    }
    expect((await generate(secret, { user: { id: 'hr-1' } })).status).toBe(200);
  });

  test('a person who is signed in gets a token of their own, from our own pages only', async () => {
    const { access, url } = line.node;
    const link = await access.createLink({ role: 'recipient', recipientId: 'ada' });
    const { session } = await access.spendLink(link.token);
    const cookie = `carillon_session=${session}`;
    const generate = (origin: string, body?: unknown) =>
      line.node.call('POST', '/tokens/generate', undefined, body, { cookie, origin });
    const own = await generate(url);
    expect(own.status).toBe(200);
    expect(decodeJwt(own.json.token).user).toBe('ada');
    expect((await generate('https://evil.example')).json.error.code).toBe('OriginNotTrusted');
    expect((await generate(url, { user: { id: 'ben' } })).json.error.code).toBe('Forbidden');
  });

  test('a token is refreshed for the same page; a key, a forged and an expired one are not', async () => {
    const { token, conversationId } = await line.node.generate('ada');
    const refresh = (secret: string) => line.node.call('POST', '/tokens/refresh', secret);
    const { json } = await refresh(token);
    expect(json).toMatchObject({ conversationId, expires_in: 1800 });
    expect(decodeJwt(json.token).sid).toBe(decodeJwt(token).sid);
    expect((await refresh(KEY)).status).toBe(400);
    const stranger = await new SignJWT(decodeJwt(token))
      .setProtectedHeader({ alg: 'HS256' })
      .sign(Buffer.from('another key, as long as it has to be'));
    expect((await refresh(stranger)).json.error.code).toBe('TokenExpired');
    const [, body] = token.split('.');
    const none = `${Buffer.from('{"alg":"none"}').toString('base64url')}.${body}.`;
    expect((await refresh(none)).status).toBe(403);
  });

  test('a token opens no other conversation', async () => {
    const [mine, theirs] = [await line.node.generate('ada'), await line.node.generate('ben')];
    for (const [method, path] of [
      ['GET', ''],
      ['GET', '/activities'],
      ['POST', '/activities'],
      ['POST', '/upload'],
    ] as const) {
      const { status } = await line.node.call(method, `/conversations/${theirs.conversationId}${path}`, mine.token);
      expect(status).toBe(403);
    }
  });
});

describe('conversations', () => {
  test('the first start is 201 and tells the agent who takes part, with the role; later ones are 200', async () => {
    const token = await line.node.generate('cid', { conversation: 'new' });
    const start = () => line.node.call('POST', '/conversations', token.token, { user: {}, locale: 'de-DE' });
    const first = await start();
    expect(first.status).toBe(201);
    expect(first.json.streamUrl).toMatch(/^ws:\/\/127\.0\.0\.1:\d+\/v3\/directline\/conversations\/cnv_.+\/stream\?t=/);
    await eventually(() => expect(told).toHaveLength(1));
    expect(told[0]!.body).toMatchObject({
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
    expect(told.map(({ body }) => body.type)).toEqual(['conversationUpdate', 'message']);
  });

  test('an agent that was away at the start is told with the first message', async () => {
    const token = await line.node.generate('dee', { conversation: 'new' });
    answer = { status: 500 };
    expect((await line.node.call('POST', '/conversations', token.token, {})).status).toBe(201);
    await eventually(() => expect(told).toHaveLength(1));
    answer = { status: 200 };
    await eventually(async () => {
      told.length = 0;
      await line.node.say(token, 'hello');
      expect(told.map(({ body }) => body.type)).toEqual(['conversationUpdate', 'message']);
    });
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
    const { body } = told.at(-1)!;
    expect(body).toMatchObject({ type: 'message', value, name: 'x', from: { id: 'hal', role: 'user' } });
    for (const field of ['locale', 'replyToId', 'text']) expect(body).not.toHaveProperty(field);
  });

  test('an agent that fails, or takes too long, is 502; the words are kept and shown', async () => {
    const token = await line.node.generate('ian', { conversation: 'new' });
    answer = { status: 500 };
    const failed = await line.node.say(token, 'one');
    expect(failed).toMatchObject({ status: 502, json: { error: { code: 'BotError' } } });
    answer = { status: 200, never: true };
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
      expect({ status, code: json.error.code }).toEqual({ status: 400, code: 'BadArgument' });
    }
    expect(told).toEqual([]);
    expect((await poll(token)).activities).toEqual([]);
  });

  test('typing is handed on and not kept', async () => {
    const token = await line.node.generate('jan', { conversation: 'new' });
    expect((await line.node.say(token, '', { type: 'typing' })).status).toBe(200);
    expect(told.at(-1)!.body.type).toBe('typing');
    expect((await poll(token)).activities).toEqual([]);
  });

  test('an invoke is answered with what the agent answers', async () => {
    const token = await line.node.generate('kim', { conversation: 'new' });
    await line.node.say(token, 'first');
    answer = { status: 200, body: { statusCode: 200, type: 'x', value: 1 } };
    const { json } = await line.node.say(token, '', { type: 'invoke', name: 'adaptiveCard/action', value: {} });
    expect(json).toMatchObject({ status: 200, body: { statusCode: 200, value: 1 } });
  });

  test('expected replies come in the answer and are shown', async () => {
    const token = await line.node.generate('leo', { conversation: 'new' });
    await line.node.say(token, 'first');
    answer = { status: 200, body: { activities: [{ type: 'message', text: 'reply' }, { type: 'trace' }] } };
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
    expect(told).toEqual([]);
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

describe('the stream', () => {
  const sockets: WebSocket[] = [];
  afterAll(() => sockets.map((socket) => socket.terminate()));

  async function connect(token: Token, options: { watermark?: string; origin?: string } = {}) {
    const path = `/conversations/${token.conversationId}?watermark=${options.watermark ?? ''}`;
    const { json } = await line.node.call('GET', path, token.token);
    const socket = new WebSocket(json.streamUrl, options.origin ? { origin: options.origin } : {});
    sockets.push(socket);
    const heard = {
      texts: [] as (string | undefined)[],
      watermark: '',
      empty: 0,
      closed: 0,
      refused: 0,
      raw: [] as Record<string, unknown>[],
    };
    socket.on('message', (data) => {
      const frame = String(data);
      if (frame === '') heard.empty++;
      else {
        const { activities, watermark } = JSON.parse(frame);
        heard.raw.push(...activities);
        heard.texts.push(...texts(activities));
        heard.watermark = watermark;
      }
    });
    socket.on('close', (code) => {
      heard.closed = code;
    });
    socket.on('error', () => undefined);
    socket.on('unexpected-response', (_request, { statusCode }) => {
      heard.refused = statusCode ?? 0;
    });
    return { socket, heard };
  }

  test('gives the backlog, or an empty frame, and then what is said', async () => {
    const token = await line.node.generate('qua', { conversation: 'new' });
    const { heard } = await connect(token);
    await eventually(() => expect(heard.empty).toBe(1));
    await notice(token.conversationId, 'one');
    await eventually(() => expect(heard).toMatchObject({ texts: ['one'], watermark: '1' }));
    const other = await connect(await line.node.generate('qua'));
    await eventually(() => expect(other.heard.empty).toBe(1));
    const late = await connect(token, { watermark: '0' });
    await eventually(() => expect(late.heard.texts).toEqual(['one']));
  });

  test('an update comes under the same id, keeps its timestamp, and is not said twice', async () => {
    const token = await line.node.generate('ray', { conversation: 'new' });
    const posted = await notice(token.conversationId, 'asks', 'card-1');
    await notice(token.conversationId, 'later');
    const { heard } = await connect(token);
    await eventually(() => expect(heard.texts).toEqual(['asks', 'later']));
    const { database, assistant } = line.node;
    const change = {
      conversationId: token.conversationId,
      id: 'card-1',
      activity: { type: 'message', text: 'approved' },
    };
    await database.transaction((tx) => replaceActivity(tx, change));
    assistant.streams.wake([token.conversationId]);
    await eventually(() => expect(heard.texts).toEqual(['asks', 'later', 'approved']));
    expect(heard.raw.at(-1)).toMatchObject({ id: 'card-1', timestamp: posted.timestamp.toISOString() });
    expect(texts((await poll(token)).activities)).toEqual(['later', 'approved']);
  });

  test('one socket per token: the newest hears everything once, and an older one goes with it', async () => {
    const token = await line.node.generate('sam', { conversation: 'new' });
    const older = await connect(token);
    await eventually(() => expect(older.heard.empty).toBe(1));
    const newer = await connect(token);
    await eventually(() => expect(newer.heard.empty).toBe(1));
    await notice(token.conversationId, 'once');
    await eventually(() => expect(newer.heard.texts).toEqual(['once']));
    expect(older.heard.texts).toEqual([]);
    newer.socket.terminate();
    await eventually(() => expect(older.heard.closed).toBe(1000));
  });

  test('two pages of a person hear the same', async () => {
    const [one, other] = [await line.node.generate('tia'), await line.node.generate('tia')];
    const pages = [await connect(one), await connect(other)];
    for (const { heard } of pages) await eventually(() => expect(heard.empty).toBe(1));
    await line.node.say(one, 'to both');
    for (const { heard } of pages) await eventually(() => expect(heard.texts).toEqual(['to both']));
  });

  test('a forged token, one of another conversation and a foreign path are refused before the upgrade', async () => {
    const [mine, theirs] = [await line.node.generate('uma'), await line.node.generate('ben')];
    const base = line.node.domain.replace('http', 'ws');
    for (const [path, status] of [
      [`/conversations/${mine.conversationId}/stream`, 401],
      [`/conversations/${mine.conversationId}/stream?t=a.b.c`, 403],
      [`/conversations/${mine.conversationId}/stream?t=${theirs.token}`, 403],
      ['/elsewhere', 404],
    ] as const) {
      const socket = new WebSocket(base + path);
      const refused = await new Promise((resolve) => {
        socket.on('unexpected-response', (_request, { statusCode }) => resolve(statusCode));
        socket.on('error', () => undefined);
      });
      expect(refused).toBe(status);
      socket.terminate();
    }
  });

  test('garbage on a socket ends that socket alone', async () => {
    const token = await line.node.generate('val', { conversation: 'new' });
    const { socket, heard } = await connect(token);
    const other = await connect(await line.node.generate('val', { conversation: 'new' }));
    await eventually(() => expect([heard.empty, other.heard.empty]).toEqual([1, 1]));
    socket.send(Buffer.alloc(10_000));
    await eventually(() => expect(heard.closed).toBe(1009));
    expect(other.socket.readyState).toBe(WebSocket.OPEN);
  });
});

describe('pages of other origins', () => {
  const preflight = (origin: string) =>
    line.node.call('OPTIONS', '/conversations', undefined, undefined, {
      origin,
      'access-control-request-method': 'POST',
      'access-control-request-headers': 'authorization,content-type,x-ms-bot-agent,x-requested-with',
    });

  test('are told what the clients ask for, and may read Retry-After', async () => {
    const { status, headers } = await preflight('https://chat.example');
    expect(status).toBe(204);
    expect(headers.get('access-control-allow-origin')).toBe('https://chat.example');
    for (const name of ['authorization', 'content-type', 'x-ms-bot-agent', 'x-requested-with'])
      expect(headers.get('access-control-allow-headers')).toContain(name);
    const { token } = await line.node.generate('wes');
    const start = await line.node.call('POST', '/conversations', token, {}, { origin: 'https://chat.example' });
    expect(start.headers.get('access-control-allow-origin')).toBe('https://chat.example');
    expect(start.headers.get('access-control-expose-headers')).toContain('retry-after');
  });

  test('with a token that names its origins only those pages are let in', async () => {
    const { token, conversationId } = await line.node.generate('wes', { trustedOrigins: ['https://chat.example'] });
    const at = (origin: string) =>
      line.node.call('GET', `/conversations/${conversationId}/activities`, token, undefined, { origin });
    expect((await at('https://chat.example')).status).toBe(200);
    expect((await at(line.node.url)).status).toBe(200);
    expect(await at('https://evil.example')).toMatchObject({
      status: 403,
      json: { error: { code: 'OriginNotTrusted' } },
    });
  });

  test('a key from a page is refused, unless that page may call the API with one', async () => {
    const at = (origin: string) =>
      line.node.call('POST', '/conversations', KEY, { user: { id: 'wesley' } }, { origin });
    expect((await at('https://chat.example')).json.error.code).toBe('OriginNotTrusted');
    expect((await at('https://backend.example')).status).toBe(201);
  });
});

describe('files', () => {
  async function upload(token: Token, parts: FormData | Blob, headers: Record<string, string> = {}) {
    const answer = await fetch(`${line.node.domain}/conversations/${token.conversationId}/upload?userId=x`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token.token}`, ...headers },
      body: parts,
    });
    return { status: answer.status, json: JSON.parse(await answer.text()) };
  }
  function form(activity: unknown, files: readonly [string, string, string][]): FormData {
    const data = new FormData();
    data.append('activity', new Blob([JSON.stringify(activity)], { type: 'application/vnd.microsoft.activity' }));
    for (const [content, type, name] of files) data.append('file', new Blob([content], { type }), name);
    return data;
  }

  test('come with the activity, are linked in it, and are served so that nothing in them runs', async () => {
    const token = await line.node.generate('xia', { conversation: 'new' });
    const attachments = [{ contentType: 'text/plain', name: 'ä "b".txt' }];
    const { status } = await upload(
      token,
      form({ type: 'message', text: 'look', attachments, from: { id: 'x' } }, [
        ['content', 'text/plain', 'ä "b".txt'],
        ['%PDF', 'application/pdf', '../../c.pdf'],
      ]),
    );
    expect(status).toBe(200);
    const [activity] = (await poll(token)).activities as never as [
      { attachments: { contentUrl: string; name: string }[] },
    ];
    expect(activity).toMatchObject({ text: 'look', from: { id: 'xia' } });
    expect(activity.attachments).toHaveLength(2);
    const file = await fetch(activity.attachments[0]!.contentUrl);
    expect(await file.text()).toBe('content');
    expect(file.headers.get('content-security-policy')).toBe("default-src 'none'; sandbox");
    expect(file.headers.get('x-content-type-options')).toBe('nosniff');
    expect(file.headers.get('content-disposition')).toMatch(/^attachment;/);
    expect(activity.attachments[1]!.name).toBe('c.pdf');
    expect(told.at(-1)!.body).toMatchObject({ attachments: [{ contentUrl: activity.attachments[0]!.contentUrl }, {}] });
  });

  test('one file may be the body itself', async () => {
    const token = await line.node.generate('xia', { conversation: 'new' });
    const name = { 'content-disposition': 'name="file"; filename="a.png"' };
    expect((await upload(token, new Blob(['png'], { type: 'image/png' }), name)).status).toBe(200);
    expect((await poll(token)).activities).toMatchObject([
      { type: 'message', attachments: [{ contentType: 'image/png', name: 'a.png' }] },
    ]);
  });

  test('pages and pictures that hold scripts, files that are too large and broken bodies are refused, and nothing is said', async () => {
    const token = await line.node.generate('yve', { conversation: 'new' });
    const message = { type: 'message', from: { id: 'x' } };
    const refused = [
      [await upload(token, form(message, [['<script>', 'text/html', 'a.html']])), 415],
      [await upload(token, form(message, [['<svg>', 'image/svg+xml', 'a.svg']])), 415],
      [await upload(token, form(message, [['x'.repeat(1024 * 1024 + 1), 'image/png', 'a.png']])), 413],
      [await upload(token, new Blob(['x'.repeat(4 * 1024 * 1024)], { type: 'image/png' })), 413],
      [await upload(token, new Blob(['no parts']), { 'content-type': 'multipart/form-data; boundary=x' }), 400],
      [await upload(token, form('no activity', [])), 400],
    ] as const;
    expect(refused.map(([{ status }]) => status)).toEqual(refused.map(([, status]) => status));
    expect((await poll(token)).activities).toEqual([]);
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

describe('the connector, for an anonymous agent', () => {
  let token: Token;
  let path: string;
  beforeAll(async () => {
    token = await line.node.generate('agnes', { conversation: 'new' });
    path = `/v3/conversations/${token.conversationId}`;
  });
  const call = (method: string, at: string, body?: unknown, headers?: Record<string, string>) =>
    line.node.call(method, at, undefined, body, headers);

  test('a reply to an unknown id is taken, and its made-up id is not shown', async () => {
    const unknown = await call('POST', `${path}/activities/${crypto.randomUUID()}`, { type: 'message', text: 'one' });
    const own = await call('POST', `${path}/activities/${encodeURIComponent(token.conversationId)}`, {
      type: 'message',
      text: 'two',
    });
    const real = await call('POST', `${path}/activities/${unknown.json.id}`, { type: 'message', text: 'three' });
    expect([unknown, own, real].map(({ status }) => status)).toEqual([200, 200, 200]);
    const { activities } = await poll(token);
    expect(activities).toMatchObject([
      { text: 'one', from: { id: 'assistant', role: 'bot' } },
      { text: 'two' },
      { text: 'three', replyToId: unknown.json.id },
    ]);
    expect(activities[0]).not.toHaveProperty('replyToId');
  });

  test("a change keeps the timestamp, a deletion is a change, and what is not the agent's is not there for it", async () => {
    const { json } = await call('POST', `${path}/activities`, { type: 'message', text: 'draft' });
    const before = (await poll(token)).activities.find(({ id }) => id === json.id)!;
    expect((await call('PUT', `${path}/activities/${json.id}`, { type: 'message', text: 'final' })).json).toEqual({
      id: json.id,
    });
    const changed = (await poll(token)).activities.find(({ id }) => id === json.id)!;
    expect(changed).toMatchObject({ text: 'final', timestamp: before.timestamp });
    expect((await call('DELETE', `${path}/activities/${json.id}`)).status).toBe(200);
    const deleted = (await poll(token)).activities.find(({ id }) => id === json.id)!;
    expect(deleted).toMatchObject({ type: 'message', text: 'This message was removed.', timestamp: before.timestamp });
    const foreign = await notice(token.conversationId, 'a notice');
    for (const id of [foreign.id, 'act_none']) {
      const { status, json } = await call('PUT', `${path}/activities/${id}`, { type: 'message', text: 'x' });
      expect({ status, code: json.error.code }).toEqual({ status: 404, code: 'ActivityNotFoundInConversation' });
    }
  });

  test('traces and unknown kinds are taken and shown to nobody', async () => {
    const { watermark } = await poll(token);
    for (const type of ['trace', 'invokeResponse', 'conversationUpdate', 'delay', 'unheardOf'])
      expect((await call('POST', `${path}/activities`, { type })).status).toBe(200);
    expect((await poll(token, watermark)).activities).toEqual([]);
  });

  test('a card over the size limit is refused with a clear message', async () => {
    const attachments = [
      { contentType: 'application/vnd.microsoft.card.adaptive', content: { text: 'x'.repeat(300_000) } },
    ];
    const { status, json } = await call('POST', `${path}/activities`, { type: 'message', attachments });
    expect({ status, code: json.error.code }).toEqual({ status: 413, code: 'MessageSizeTooBig' });
    expect(json.error.message).toMatch(/has \d+ bytes, and may have 262144/);
  });

  test('members, one by one and by page', async () => {
    const members = [
      { id: 'agnes', role: 'user' },
      { id: 'assistant', role: 'bot' },
    ];
    expect((await call('GET', `${path}/members`)).json).toMatchObject(members);
    expect((await call('GET', `${path}/pagedmembers?pageSize=1`)).json).toMatchObject({ members });
    expect((await call('GET', `${path}/activities/any/members`)).json).toMatchObject(members);
    expect((await call('GET', `${path}/members/agnes`)).json).toMatchObject(members[0]!);
    expect((await call('GET', `${path}/members/nobody`)).json.error.code).toBe('MemberNotFoundInConversation');
  });

  test('opens the standing conversation of a person, named as agent or as bot, and says something in it', async () => {
    const standing = await line.node.generate('agnes');
    for (const named of [{ agent: { id: 'assistant' } }, { bot: { id: 'assistant' } }]) {
      const body = { ...named, members: [{ id: 'agnes' }], activity: { type: 'message', text: 'news' } };
      const { status, json } = await call('POST', '/v3/conversations', body);
      expect({ status, json }).toMatchObject({
        status: 201,
        json: { id: standing.conversationId, serviceUrl: line.node.url, activityId: expect.stringMatching(/^act_/) },
      });
    }
    expect(
      (await call('POST', '/v3/conversations', { agent: { id: 'assistant' }, members: [{ id: 'stranger' }] })).json
        .error.code,
    ).toBe('MemberNotFoundInConversation');
    expect((await call('POST', '/v3/conversations', { members: [{ id: 'agnes' }] })).status).toBe(400);
  });

  test('attachments go up and come down', async () => {
    const originalBase64 = Buffer.from('bytes').toString('base64');
    const { json } = await call('POST', `${path}/attachments`, { type: 'image/png', name: 'a.png', originalBase64 });
    expect((await call('GET', `/v3/attachments/${json.id}`)).json).toEqual({
      name: 'a.png',
      type: 'image/png',
      views: [{ viewId: 'original', size: 5 }],
    });
    const view = await fetch(`${line.node.url}/v3/attachments/${json.id}/views/original`);
    expect([await view.text(), view.headers.get('content-type')]).toEqual(['bytes', 'image/png']);
    expect((await call('GET', '/v3/attachments/none')).status).toBe(404);
  });

  test('is closed to web pages, to what a proxy passes on, and under a foreign name', async () => {
    const passedOn: Record<string, string>[] = [
      { origin: 'http://localhost:3000' },
      { 'x-forwarded-for': '203.0.113.5' },
      { forwarded: 'for=203.0.113.5' },
    ];
    for (const headers of passedOn) expect((await call('GET', `${path}/members`, undefined, headers)).status).toBe(401);
    // As a page does whose name was made to lead to this machine.
    const status = await new Promise((resolve) => {
      const headers = { host: 'evil.example' };
      get(`${line.node.url}${path}/members`, { headers }, (answer) => resolve(answer.resume().statusCode));
    });
    expect(status).toBe(401);
  });
});
