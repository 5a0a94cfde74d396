import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import { eventually } from '../../../test/support/eventually.ts';
import { ADMIN_KEY, useServer } from '../../../test/support/http-server.ts';
import { appendNotices } from '../../inbox/append.ts';
import type { Notice } from '../../inbox/notice.ts';
import { cardJson } from '../../kit/card.ts';

const http = useServer({ pingEveryMs: 50 });
let made = 0;

async function notify(recipientId: string, count = 1, body = 'Hello'): Promise<void> {
  const notices = Array.from({ length: count }, () => {
    const card = { title: `Notice ${++made}`, body };
    return { notice: noticeOf(recipientId, card), card: cardJson(card), toInbox: true };
  });
  const appended = await http.database.transaction((tx) => appendNotices(tx, notices));
  http.inbox.appended(appended);
}

function noticeOf(recipientId: string, card: Notice['card']): Notice {
  return {
    id: `ntc_${made}`,
    recipientId,
    topic: 'hr',
    partition: 0,
    sequence: made,
    eventId: `e${made}`,
    notification: 'n',
    category: 'hr',
    urgency: 'normal',
    card,
    createdAt: new Date(),
  };
}

type Frame = { event: string; id: string | undefined; data: unknown };

/** A reader that takes what comes, until `close`. */
class Reader {
  text = '';
  readonly abort = new AbortController();
  ended = false;

  static async open(path: string, headers: Record<string, string> = {}): Promise<Reader> {
    const reader = new Reader();
    const answer = await fetch(http.server.url + path, {
      headers: { authorization: `Bearer ${ADMIN_KEY}`, ...headers },
      signal: reader.abort.signal,
    });
    expect(answer.headers.get('content-type')).toContain('text/event-stream');
    void reader.#read(answer.body!);
    return reader;
  }

  async #read(body: ReadableStream<Uint8Array>): Promise<void> {
    const decoder = new TextDecoder();
    try {
      for await (const chunk of body) this.text += decoder.decode(chunk, { stream: true });
    } catch (error) {
      if (!this.abort.signal.aborted) throw error;
    }
    this.ended = true;
  }

  get frames(): Frame[] {
    return this.text
      .split('\n\n')
      .slice(0, -1)
      .filter((text) => text.includes('event: '))
      .map((text) => {
        const field = (name: string) => new RegExp(`^${name}: (.*)$`, 'm').exec(text)?.[1];
        return { event: field('event')!, id: field('id'), data: JSON.parse(field('data')!) };
      });
  }

  items(): (string | undefined)[] {
    return this.frames.filter(({ event }) => event === 'item').map(({ id }) => id);
  }

  close(): void {
    this.abort.abort();
  }
}

describe('the inbox stream', () => {
  it('tells the counts first, then items as they are committed, and pings in between', async () => {
    const reader = await Reader.open('/v1/recipients/ada/inbox/stream');
    await eventually(() => expect(reader.frames[0]).toMatchObject({ event: 'counts', data: { unseen: 0, unread: 0 } }));
    await notify('ada');
    await eventually(() => expect(reader.items()).toEqual(['1']));
    expect(reader.frames.find(({ event }) => event === 'item')!.data).toMatchObject({ title: 'Notice 1', position: 1 });
    await eventually(() => expect(reader.text).toContain(': ping'));
    await http.call('/v1/recipients/ada/inbox/mark', { json: { all: true, as: 'read' } });
    await eventually(() => expect(reader.frames.at(-1)).toMatchObject({ event: 'counts', data: { unread: 0 } }));
    reader.close();
    await eventually(() => expect(http.inbox.open).toBe(0));
  });

  it('resumes after Last-Event-ID without a gap and without a repeat', async () => {
    await notify('bob', 3);
    const reader = await Reader.open('/v1/recipients/bob/inbox/stream', { 'last-event-id': '1' });
    await eventually(() => expect(reader.items()).toEqual(['2', '3']));
    await notify('bob', 2);
    await eventually(() => expect(reader.items()).toEqual(['2', '3', '4', '5']));
    reader.close();
    const all = await Reader.open('/v1/recipients/bob/inbox/stream?after=0');
    await eventually(() => expect(all.items()).toEqual(['1', '2', '3', '4', '5']));
    all.close();
  });

  it('a reader that takes nothing holds nothing in memory, and gets everything once it reads', async () => {
    const socket = await deafReader('cy');
    await eventually(() => expect(http.inbox.open).toBe(1));
    for (let i = 0; i < 10; i++) await notify('cy', 100, 'x'.repeat(9_000));
    const reader = [...socketsOf()].at(-1);
    expect(reader!.writableLength).toBeLessThan(200_000);
    let text = '';
    socket.on('data', (chunk: Buffer) => (text += chunk));
    socket.resume();
    await eventually(() => expect(text.match(/^id: /gm)).toHaveLength(1000), 20_000);
    socket.destroy();
    await eventually(() => expect(http.inbox.open).toBe(0));
  });

  it('is refused without a right on this person', async () => {
    const { json: key } = await http.call('/v1/keys', { json: { name: 'k', grants: ['listen recipient:ada'] } });
    expect((await http.call('/v1/recipients/bob/inbox/stream', { key: key.secret })).status).toBe(403);
  });
});

async function deafReader(recipient: string): Promise<Socket> {
  const socket = connect(http.server.port, '127.0.0.1');
  await once(socket, 'connect');
  socket.pause();
  socket.write(
    `GET /v1/recipients/${recipient}/inbox/stream HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${ADMIN_KEY}\r\n\r\n`,
  );
  return socket;
}

/** The server's side of the open connections: test and server share the process. */
function socketsOf(): Socket[] {
  // biome-ignore lint/suspicious/noExplicitAny: Node offers no typed way to list a process' own sockets.
  const handles = (process as any)._getActiveHandles() as unknown[];
  return handles.filter(
    (handle): handle is Socket =>
      handle instanceof Object && 'localPort' in handle && handle.localPort === http.server.port,
  );
}

describe('stopping', () => {
  it('ends open streams', async () => {
    const reader = await Reader.open('/v1/recipients/ada/inbox/stream');
    await http.server.stop();
    await eventually(() => expect(reader.ended).toBe(true));
  });
});
