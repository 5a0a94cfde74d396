// Direct Line's own client (botframework-directlinejs, as Web Chat uses it) against us, by polling and by WebSocket.
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { appendActivities } from '../../src/assistant/conversations/append.ts';
import { DirectLineNode, KEY, useDirectLine } from '../support/direct-line.ts';
import { eventually } from '../support/eventually.ts';
import { EXPIRED, ONLINE, Page } from './assistant/page.ts';

const line = useDirectLine();
const pages: Page[] = [];
afterEach(() => {
  for (const page of pages.splice(0)) page.close();
});

function open(options: ConstructorParameters<typeof Page>[0]): Page {
  const page = new Page(options);
  pages.push(page);
  return page;
}

async function notice(conversationId: string, text: string) {
  const { database, assistant } = line.node;
  const activity = { type: 'message', text };
  await database.transaction((tx) => appendActivities(tx, [{ conversationId, activity }]));
  assistant.streams.wake([conversationId]);
}

describe.each([{ webSocket: false }, { webSocket: true }])('with webSocket: $webSocket', ({ webSocket }) => {
  test('connects with only domain and token set, shows notices and what it says itself, and its past after a reload', async () => {
    const { token, conversationId } = await line.node.generate('ada', { conversation: 'new' });
    const page = open({ domain: line.node.domain, token, webSocket });
    await eventually(() => expect(page.status).toBe(ONLINE));
    await notice(conversationId, 'a notice');
    await page.sees('a notice');
    const id = await page.say('hello', { channelData: { clientActivityID: 'mine' } });
    await page.sees('hello');
    expect(page.all.find((each) => each.id === id)).toMatchObject({
      from: { id: 'ada', role: 'user' },
      channelData: { clientActivityID: 'mine' },
    });
    page.close();
    const reloaded = open({ domain: line.node.domain, token, webSocket, conversationId });
    await reloaded.sees('hello');
    expect(reloaded.texts).toEqual(['a notice', 'hello']);
  });

  test('sends files', async () => {
    const { token } = await line.node.generate('ada', { conversation: 'new' });
    const page = open({ domain: line.node.domain, token, webSocket });
    const contentUrl = `data:text/plain;base64,${Buffer.from('in the file').toString('base64')}`;
    const attachments = ['a.txt', 'a.txt'].map((name) => ({ contentType: 'text/plain', contentUrl, name }));
    await page.say('two files', { attachments });
    await page.sees('two files');
    const links = page.all[0]!.attachments!.map((each) => each.contentUrl!);
    expect(new Set(links).size).toBe(2);
    expect(await (await fetch(links[1]!)).text()).toBe('in the file');
  });

  test('starts with a key and its person, from a backend', async () => {
    const { json } = await line.node.call('POST', '/conversations', KEY, { user: { id: 'ben' } });
    const page = open({ domain: line.node.domain, secret: KEY, webSocket, conversationId: json.conversationId });
    await page.say('from a backend');
    await page.sees('from a backend');
  });
});

describe('the socket', () => {
  test('what is sent while the server has killed the socket arrives after the reconnect, once', async () => {
    const { token, conversationId } = await line.node.generate('cid', { conversation: 'new' });
    const page = open({ domain: line.node.domain, token, webSocket: true });
    await notice(conversationId, 'before');
    await page.sees('before');
    line.node.cut();
    await eventually(() => expect(line.node.assistant.streams.size).toBe(0));
    await notice(conversationId, 'meanwhile');
    await page.sees('meanwhile', 20_000);
    expect(page.all.map(({ text }) => text)).toEqual(['before', 'meanwhile']);
  });
});

describe('the end of a token', () => {
  let brief: DirectLineNode;
  beforeAll(async () => {
    // Another node on the same database; its tokens live for two seconds.
    brief = await DirectLineNode.start(line.node.database, { settings: { directlineTokenMinutes: 2 / 60 } });
    return () => brief.stop();
  });

  test('a page that refreshes its token in time keeps its socket; when it stops, the socket is closed', async () => {
    const { token } = await brief.generate('cat', { conversation: 'new' });
    const { json } = await brief.call('POST', '/conversations', token, {});
    const socket = new WebSocket(json.streamUrl);
    let closed = 0;
    socket.onclose = ({ code }) => {
      closed = code;
    };
    let current = json.token;
    const outlives = Date.now() + 4_000;
    await eventually(async () => {
      const refreshed = await brief.call('POST', '/tokens/refresh', current);
      expect([refreshed.status, closed]).toEqual([200, 0]);
      current = refreshed.json.token;
      if (Date.now() < outlives) throw new Error('it has not outlived its first token yet');
    });
    await eventually(() => expect(closed).toBe(1008));
  });

  test('by polling: the client hears that its token has expired, gets a new one, and goes on', async () => {
    const { token, conversationId } = await brief.generate('dee', { conversation: 'new' });
    const page = open({ domain: brief.domain, token, webSocket: false });
    await notice(conversationId, 'one');
    await page.sees('one');
    await eventually(() => expect(page.status).toBe(EXPIRED));
    page.client.reconnect(await line.node.tokenFor(conversationId, 'dee'));
    await notice(conversationId, 'two');
    await page.sees('two');
    // The client polls twice over from then on; a page shows what comes again under its id in the same place.
    expect(page.texts).toEqual(['one', 'two']);
  });

  test('by socket: it is closed, and after reconnect() nothing is shown twice', async () => {
    const { token, conversationId } = await brief.generate('eve', { conversation: 'new' });
    const page = open({ domain: brief.domain, token, webSocket: true });
    await notice(conversationId, 'one');
    await page.sees('one');
    await eventually(() => expect(page.status).toBe(EXPIRED), 20_000);
    const fresh = await line.node.tokenFor(conversationId, 'eve');
    const { json } = await line.node.call('GET', `/conversations/${conversationId}?watermark=1`, fresh.token);
    page.client.reconnect(json);
    await eventually(() => expect(line.node.assistant.streams.size).toBe(1));
    await notice(conversationId, 'two');
    await page.sees('two');
    await notice(conversationId, 'three');
    await page.sees('three');
    expect(page.all.map(({ text }) => text)).toEqual(['one', 'two', 'three']);
  });

  test('reconnect() while the old socket lives: a second one is opened, and each activity comes once', async () => {
    const { token, conversationId } = await line.node.generate('fay', { conversation: 'new' });
    const before = line.node.opened;
    const page = open({ domain: line.node.domain, token, webSocket: true });
    await notice(conversationId, 'one');
    await page.sees('one');
    const { json } = await line.node.call('GET', `/conversations/${conversationId}?watermark=1`, token);
    // The client takes this path when a page gives it a new token after the old one was refused once.
    (page.client.connectionStatus$ as unknown as { next(status: number): void }).next(EXPIRED);
    page.client.reconnect(json);
    await eventually(() => expect(line.node.opened).toBeGreaterThan(before + 1));
    await notice(conversationId, 'two');
    await page.sees('two');
    await notice(conversationId, 'three');
    await page.sees('three');
    expect(page.all.map(({ text }) => text)).toEqual(['one', 'two', 'three']);
  });
});
