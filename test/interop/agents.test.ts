// Agents of other people, unmodified, behind a conversation: the Microsoft 365 Agents SDK in both modes of
// authentication, the Bot Framework SDK anonymously. And everything that is forged, in both directions.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { generateKeyPair, type JWTPayload, SignJWT } from 'jose';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { NamedAgent } from '../../src/assistant/agents/definition.ts';
import { issuerOf } from '../../src/assistant/agents/signing.ts';
import { AgentProcess } from '../support/agent-process.ts';
import { useDirectLine } from '../support/direct-line.ts';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/free-port.ts';
import { Page } from './assistant/page.ts';

const CLIENT_ID = '1f9c2f0a-6c1e-4a55-9d0e-0a1b2c3d4e5f';
const program = (name: string) => fileURLToPath(new URL(`assistant/${name}.mjs`, import.meta.url));

const agents: NamedAgent[] = [];
const line = useDirectLine(async () => {
  const urls = await Promise.all(['sdk', 'old', 'signed'].map(async (name) => [name, await freePort()] as const));
  for (const [name, port] of urls) {
    const auth = name === 'signed' ? { clientId: CLIENT_ID } : 'anonymous';
    agents.push({ name, url: `http://127.0.0.1:${port}/api/messages`, auth, displayName: `Agent ${name}` });
  }
  return { agents };
});
const running: AgentProcess[] = [];
const pages: Page[] = [];
const portOf = (name: string) => Number(new URL(agents.find((agent) => agent.name === name)!.url).port);

/** The environment that the server's start prints for an agent. */
function environmentOf(name: string): Record<string, string> {
  const lines = line.node.assistant.describe();
  const from = lines.findIndex((each) => each.startsWith(`  agent ${name} `)) + 1;
  const env = lines.slice(from).filter((each) => each.startsWith('    '));
  return Object.fromEntries(env.map((each) => each.trim().split(/=(.*)/s).slice(0, 2) as [string, string]));
}

beforeAll(async () => {
  running.push(
    ...(await Promise.all([
      AgentProcess.start(program('agents-sdk'), portOf('sdk')),
      AgentProcess.start(program('botbuilder'), portOf('old')),
      AgentProcess.start(program('agents-sdk'), portOf('signed'), environmentOf('signed')),
    ])),
  );
});
afterAll(() => Promise.all(running.map((agent) => agent.stop())));
afterEach(() => {
  for (const page of pages.splice(0)) page.close();
});

async function talk(agent: string, user = 'ada'): Promise<{ page: Page; conversationId: string; token: string }> {
  const { token, conversationId } = await line.node.generate(user, { agent, conversation: 'new' });
  const page = new Page({ domain: line.node.domain, token, webSocket: true });
  pages.push(page);
  return { page, conversationId, token };
}

describe.each(['sdk', 'signed', 'old'])('the agent "%s"', (agent) => {
  test('welcomes with the role that it was told, answers, edits in place, and speaks later by itself', async () => {
    const { page } = await talk(agent);
    await page.sees('Welcome, ada (user)');
    expect(page.all[0]!.from).toMatchObject({ id: agent, role: 'bot', name: `Agent ${agent}` });
    await page.say('hello');
    await page.sees('You said: hello');
    await page.say('edit');
    await page.sees('final');
    expect(page.texts).not.toContain('draft');
    expect(page.texts.indexOf('final')).toBeGreaterThan(page.texts.indexOf('edit'));
    await page.say('later');
    await page.sees('proactive');
  });
});

describe('the Agents SDK', () => {
  test('shows a card, and typing on the socket only', async () => {
    const { page } = await talk('sdk');
    await page.say('card');
    await eventually(() => {
      const card = page.all.find(({ attachments }) => attachments?.length);
      expect(card).toMatchObject({ attachments: [{ contentType: 'application/vnd.microsoft.card.adaptive' }] });
    });
    await page.say('typing');
    await eventually(() => expect(page.all.at(-1)).toMatchObject({ type: 'typing', from: { role: 'bot' } }));
    const reloaded = new Page({ domain: line.node.domain, token: (await talk('sdk')).token, webSocket: false });
    pages.push(reloaded);
    await reloaded.sees('Welcome, ada (user)');
    expect(reloaded.all.map(({ type }) => type)).not.toContain('typing');
  });

  test('error in a turn, or in a proactive callback, does not reach the user', async () => {
    const { page } = await talk('sdk');
    await page.sees('Welcome, ada (user)');
    await page.say('throw');
    await page.say('throw later');
    await page.sees('it has thrown');
    await page.say('still there');
    await page.sees('You said: still there');
    expect(page.texts.filter((text) => /error|bug/i.test(text ?? ''))).toEqual([]);
  });

  test('an agent that is not running is 502, and the client may retry', async () => {
    const { page } = await talk('old');
    await page.sees('Welcome, ada (user)');
    await running[1]!.stop();
    expect(await page.say('anybody?')).toBe('retry');
    await page.sees('anybody?');
    running[1] = await AgentProcess.start(program('botbuilder'), portOf('old'));
    await page.say('and now?');
    await page.sees('You said: and now?');
  });
});

describe('signed mode', () => {
  test('goes on when the keys are rotated', async () => {
    const { page } = await talk('signed');
    await page.sees('Welcome, ada (user)');
    const published = async () => (await line.node.call('GET', '/v3/auth/local/discovery/v2.0/keys', undefined)).json;
    const before = await published();
    await line.node.rotateKeys();
    const after = await published();
    expect(after.keys.length).toBe(before.keys.length + 1);
    expect(JSON.stringify(after)).not.toMatch(/"(d|p|q)":/);
    await page.say('after the rotation');
    await page.sees('You said: after the rotation');
  });

  type Forged = { claims?: JWTPayload; header?: Record<string, string>; foreignKey?: boolean; expired?: boolean };

  async function forge(good: JWTPayload, { claims = {}, header = {}, foreignKey, expired }: Forged): Promise<string> {
    const own = await line.node.signingKey();
    const key = foreignKey ? (await generateKeyPair('RS256')).privateKey : own.privateKey;
    const now = Math.floor(Date.now() / 1000);
    return new SignJWT({ ...good, ...claims })
      .setProtectedHeader({ alg: 'RS256', kid: own.kid, ...header })
      .setIssuedAt(expired ? now - 7200 : now)
      .setExpirationTime(expired ? now - 3600 : now + 600)
      .sign(key);
  }

  const withoutSignature = (claims: JWTPayload) =>
    `${[{ alg: 'none' }, { ...claims, exp: 4102444800 }].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.')}.`;

  test('the agent refuses what is forged, and whoever would send it to a foreign service', async () => {
    const foreign = createServer((_request, response) => response.end());
    await new Promise<void>((resolve) => foreign.listen(0, resolve));
    let called = 0;
    foreign.on('request', () => called++);
    const good = { iss: issuerOf(line.node.url), aud: CLIENT_ID, serviceurl: line.node.url };
    const { conversationId } = await talk('signed');
    const call = async (token: string | undefined, serviceUrl = line.node.url) => {
      const activity = {
        type: 'message',
        id: 'x',
        text: 'forged',
        serviceUrl,
        channelId: 'directline',
        from: { id: 'ada', role: 'user' },
        recipient: { id: 'signed', role: 'bot' },
        conversation: { id: conversationId },
      };
      const headers = { 'content-type': 'application/json', ...(token && { authorization: `Bearer ${token}` }) };
      const url = `http://127.0.0.1:${portOf('signed')}/api/messages`;
      return (await fetch(url, { method: 'POST', headers, body: JSON.stringify(activity) })).status;
    };
    const elsewhere = `http://foreign.localhost:${(foreign.address() as AddressInfo).port}`;
    const results = {
      'no token': await call(undefined),
      'no signature': await call(withoutSignature(good)),
      'another audience': await call(await forge(good, { claims: { aud: crypto.randomUUID() } })),
      'another issuer': await call(await forge(good, { claims: { iss: 'https://evil.example/v2.0' } })),
      'another key': await call(await forge(good, { foreignKey: true })),
      expired: await call(await forge(good, { expired: true })),
      'a foreign service': await call(await forge(good, {}), elsewhere),
      good: await call(await forge(good, {})),
    };
    expect(results).toEqual({
      'no token': 401,
      'no signature': 401,
      'another audience': 401,
      'another issuer': 401,
      'another key': 401,
      expired: 401,
      'a foreign service': 400,
      good: 200,
    });
    expect(called).toBe(0);
    foreign.close();
  });

  test('the connector refuses what is forged, and an agent in the conversation of another', async () => {
    const connector = 'urn:carillon:connector';
    const good = { iss: connector, aud: connector, appid: CLIENT_ID };
    const own = await talk('signed');
    const other = await talk('sdk');
    const say = async (token: string | undefined, conversationId = own.conversationId) => {
      const path = `/v3/conversations/${conversationId}/activities`;
      const { status } = await line.node.call('POST', path, token, { type: 'message', text: 'forged' });
      return status;
    };
    const toAgent = { iss: issuerOf(line.node.url), aud: CLIENT_ID, serviceurl: line.node.url };
    const results = {
      // Anonymous ones may speak from this machine, but not for an agent in signed mode.
      'no token': await say(undefined),
      'no signature': await say(withoutSignature(good)),
      'the token that goes to the agent': await say(await forge(toAgent, {})),
      'another audience': await say(await forge(good, { claims: { aud: 'https://api.botframework.com' } })),
      'another issuer': await say(await forge(good, { claims: { iss: 'https://api.botframework.com' } })),
      'another key': await say(await forge(good, { foreignKey: true })),
      'an unknown key': await say(await forge(good, { header: { kid: 'kid_none' } })),
      'an unknown agent': await say(await forge(good, { claims: { appid: crypto.randomUUID() } })),
      expired: await say(await forge(good, { expired: true })),
      "another agent's conversation": await say(await forge(good, {}), other.conversationId),
      good: await say(await forge(good, {})),
    };
    expect(results).toEqual({
      'no token': 404,
      'no signature': 403,
      'the token that goes to the agent': 403,
      'another audience': 403,
      'another issuer': 403,
      'another key': 403,
      'an unknown key': 403,
      'an unknown agent': 403,
      expired: 403,
      "another agent's conversation": 404,
      good: 200,
    });
  });

  test('the sidecar gives a token to whoever knows the secret of the agent, and to nobody else', async () => {
    const { SIDECAR_URL } = environmentOf('signed');
    const get = async (base: string) => (await fetch(`${base}/AuthorizationHeaderUnauthenticated/default?x=1`)).status;
    expect(await get(SIDECAR_URL!)).toBe(200);
    expect(await get(SIDECAR_URL!.slice(0, -1))).toBe(404);
    expect(await get(new URL('/signed/guess', SIDECAR_URL).href)).toBe(404);
    expect(await get(new URL(SIDECAR_URL!).origin)).toBe(404);
    expect((await fetch(`${SIDECAR_URL}/healthz`)).status).toBe(200);
  });
});
