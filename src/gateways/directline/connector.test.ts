// The Bot Connector by plain requests, as agents make them, and as nobody should.
import { get } from 'node:http';
import { beforeAll, describe, expect, test } from 'vitest';
import type { Token } from '../../../test/support/direct-line.ts';
import { useDoor } from '../../../test/support/door.ts';

const { line, notice, poll } = useDoor();

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
