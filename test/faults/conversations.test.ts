// Conversations while things break: the server killed in mid conversation, the database away, and two nodes of which one
// goes. The page is Direct Line's own client; it must end up with everything that was acknowledged, each once, in order.
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { appendActivities } from '../../src/assistant/conversations/append.ts';
import { readAfter } from '../../src/assistant/conversations/read.ts';
import { Page } from '../interop/assistant/page.ts';
import { useDatabase } from '../support/database.ts';
import { DirectLineNode, type Token } from '../support/direct-line.ts';
import { eventually } from '../support/eventually.ts';
import { ServerProcess } from '../support/server-process.ts';

const pages: Page[] = [];
afterEach(() => {
  for (const page of pages.splice(0)) page.close();
});

describe('one server', () => {
  test('killed in mid conversation: what was acknowledged is shown once, in order, and the page goes on', async () => {
    await using server = await ServerProcess.start();
    const domain = `${server.url}/v3/directline`;
    const token = await server.call<Token>('POST', '/v3/directline/tokens/generate', { user: { id: 'ada' } });
    // With 20 s, as it has by itself, the client would take so long to try again.
    const page = new Page({ domain, token: token.token, webSocket: true, timeout: 2_000 });
    pages.push(page);
    await page.say('hello');
    await page.sees('hello');

    const acknowledged: string[] = [];
    let stop = false;
    const talking = (async () => {
      for (let n = 0; !stop; n++) {
        const text = `${n}`;
        // Said again until it is acknowledged, as a person with a "retry" button would.
        while (!stop && !(await say(domain, token, text))) await new Promise((resolve) => setTimeout(resolve, 20));
        if (!stop) acknowledged.push(text);
      }
    })();
    await eventually(() => expect(acknowledged.length).toBeGreaterThan(20), 30_000);
    await server.end('SIGKILL');
    await server.start();
    const until = acknowledged.length + 20;
    await eventually(() => expect(acknowledged.length).toBeGreaterThan(until), 30_000);
    stop = true;
    await talking;
    await page.sees(acknowledged.at(-1)!, 40_000);
    const numbers = page.all.map(({ text }) => text).filter((text) => acknowledged.includes(text!));
    expect(numbers).toEqual(acknowledged);
  });

  /** The same client id each time: what was kept before its answer was lost is kept once. */
  async function say(domain: string, { conversationId, token }: Token, text: string): Promise<boolean> {
    const activity = { type: 'message', text, channelData: { clientActivityID: `say-${text}` } };
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
    const url = `${domain}/conversations/${conversationId}/activities`;
    try {
      const signal = AbortSignal.timeout(10_000);
      const answer = await fetch(url, { method: 'POST', headers, body: JSON.stringify(activity), signal });
      await answer.arrayBuffer();
      return answer.ok;
    } catch {
      return false;
    }
  }
});

describe('two nodes on one database', () => {
  const { database } = useDatabase();
  const nodes: DirectLineNode[] = [];
  afterAll(() => Promise.all(nodes.map((node) => node.stop())));

  async function open(node: DirectLineNode, token: string): Promise<Page> {
    const page = new Page({ domain: node.domain, token, webSocket: true });
    pages.push(page);
    return page;
  }

  test('what is said on one node is shown on the sockets of the other, and the other way', async () => {
    nodes.push(await DirectLineNode.start(database, {}), await DirectLineNode.start(database, {}));
    const [here, there] = nodes as [DirectLineNode, DirectLineNode];
    const mine = await open(here, (await here.generate('ada')).token);
    const other = await open(there, (await there.generate('ada')).token);
    await mine.say('from here');
    await Promise.all([mine.sees('from here'), other.sees('from here')]);
    await other.say('from there');
    await Promise.all([mine.sees('from there'), other.sees('from there')]);
    expect(mine.texts).toEqual(other.texts);
  });

  test('a page of a node that is gone comes back on another with its token, and misses nothing', async () => {
    const [here, there] = nodes as [DirectLineNode, DirectLineNode];
    const { token, conversationId } = await here.generate('ben');
    const before = await open(here, token);
    await before.say('one');
    await before.sees('one');
    await here.stop();
    await database.transaction((tx) =>
      appendActivities(tx, [{ conversationId, activity: { type: 'message', text: 'meanwhile' } }]),
    );
    const after = new Page({ domain: there.domain, token, webSocket: true, conversationId, watermark: '1' });
    pages.push(after);
    await after.sees('meanwhile');
    await after.say('two');
    await after.sees('two');
    expect(after.texts).toEqual(['meanwhile', 'two']);
    const said = await readAfter(database, [{ conversationId, after: 0 }], 10);
    expect(said.map(({ sequence }) => sequence)).toEqual([1, 2, 3]);
  });

  test('a hint that is lost is made good by the poll', async () => {
    const there = nodes[1]!;
    const { token, conversationId } = await there.generate('cid');
    const page = await open(there, token);
    await page.say('one');
    await page.sees('one');
    // Committed by somebody who tells nobody.
    await database.transaction((tx) =>
      appendActivities(tx, [{ conversationId, activity: { type: 'message', text: 'unannounced' } }]),
    );
    await page.sees('unannounced', 20_000);
  });
});
