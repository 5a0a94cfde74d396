// The stream of a conversation, by plain sockets.
import { afterAll, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import type { Token } from '../../../test/support/direct-line.ts';
import { texts, useDoor } from '../../../test/support/door.ts';
import { eventually } from '../../../test/support/eventually.ts';
import { replaceActivity } from '../../assistant/conversations/append.ts';

const { line, notice, poll } = useDoor();

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
