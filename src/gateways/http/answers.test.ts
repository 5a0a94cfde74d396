import { describe, expect, it } from 'vitest';
import { eventually } from '../../../test/support/eventually.ts';
import { ADMIN_KEY, type TestServer, UNSUBSCRIBE_KEYS, useServer } from '../../../test/support/http-server.ts';
import { answerPath } from '../../assistant/decisions/link.ts';
import type { Notification } from '../../handler/notification.ts';

type Asked = { approvers: string[]; requester?: string; expiresAt?: string };

const approval: Notification = {
  name: 'approval',
  topic: 'hr',
  category: 'hr',
  when: "type = 'asked'",
  channels: ['inbox'],
  audience: ({ data }) => (data as Asked).approvers,
  content: ({ id }) => ({
    title: `May we? (${id})`,
    actions: [
      { id: 'approve', label: 'Approve', done: 'Approved' },
      { id: 'reject', label: 'Reject', style: 'danger', askReason: true },
    ],
  }),
  answers: {
    requester: ({ data }) => (data as Asked).requester,
    expiresAt: ({ data }) => (data as Asked).expiresAt,
  },
};

const toARule: Notification = {
  ...approval,
  name: 'to-a-rule',
  when: "type = 'asked by rule'",
  audience: () => ({ where: "team = 'walkers'" }),
};

let events = 0;

async function ask(server: TestServer, data: Asked, extensions: Record<string, string> = {}) {
  const event = { specversion: '1.0', id: `e${++events}`, source: '/t', type: 'asked', data, ...extensions };
  const sent = await server.call('/v1/topics/hr/events', {
    json: event,
    headers: { 'content-type': 'application/cloudevents+json' },
  });
  expect(sent.status).toBe(202);
  return eventually(async () => {
    const items = await Promise.all(data.approvers.map((id) => item(server, id, event.id)));
    expect(items.every((each) => each !== undefined)).toBe(true);
    return items;
  });
}

async function item(server: TestServer, person: string, eventId: string) {
  const page = await server.call(`/v1/recipients/${person}/inbox`);
  return page.json.items.find(({ title }: { title: string }) => title.endsWith(`(${eventId})`));
}

async function* framesOf(response: Response) {
  let text = '';
  for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    const parts = text.split('\n\n');
    text = parts.pop()!;
    for (const part of parts) {
      const [, event] = /^event: (.*)$/m.exec(part) ?? [];
      if (event) yield { event, data: JSON.parse(/^data: (.*)$/m.exec(part)![1]!) };
    }
  }
}

describe('an answer on a card', () => {
  const server = useServer({}, [approval, toARule]);
  const answer = (person: string, notice: string, action: string, json: unknown = {}) =>
    server.call(`/v1/recipients/${person}/inbox/${notice}/actions/${action}`, { json });

  it('decides once for everybody who was asked, and says to the next one who was first', async () => {
    const [ada, bob] = await ask(server, { approvers: ['ada', 'bob'] });
    expect(ada.decision).toEqual({ state: 'open' });
    const first = await answer('ada', ada.id, 'approve');
    expect(first.json).toMatchObject({
      id: ada.id,
      decision: { state: 'decided', by: { id: 'ada' }, actionId: 'approve' },
    });
    const second = await answer('bob', bob.id, 'reject', { inputs: { reason: 'No.' } });
    expect(second.json).toMatchObject({ status: 409, code: 'already_decided', by: { id: 'ada' } });
    expect(second.json.at).toBe(first.json.decision.at);
    const shown = await server.call(`/v1/recipients/bob/inbox/${bob.id}`);
    expect(shown.json.decision).toMatchObject({
      state: 'decided',
      by: { id: 'ada' },
      label: 'Approve',
      surface: 'inbox',
    });
  });

  it('counts once when it is given by many at the same moment', async () => {
    const people = Array.from({ length: 12 }, (_, i) => `p${i}`);
    const items = await ask(server, { approvers: people });
    const answers = await Promise.all(people.map((person, i) => answer(person, items[i].id, 'approve')));
    expect(answers.map(({ status }) => status).sort()).toEqual([200, ...Array(11).fill(409)]);
  });

  it('needs the reason that its action asks for', async () => {
    const [ada] = await ask(server, { approvers: ['ada'] });
    for (const inputs of [undefined, {}, { reason: '  ' }]) {
      const refused = await answer('ada', ada.id, 'reject', inputs && { inputs });
      expect(refused.json).toMatchObject({ status: 422, code: 'reason_required' });
    }
    const given = await answer('ada', ada.id, 'reject', { inputs: { reason: ' Too much. ' } });
    expect(given.json.decision).toMatchObject({ actionId: 'reject', reason: 'Too much.' });
  });

  it('is the same again under the same key', async () => {
    const [ada] = await ask(server, { approvers: ['ada'] });
    const first = await answer('ada', ada.id, 'approve', { idempotencyKey: 'k1' });
    expect((await answer('ada', ada.id, 'approve', { idempotencyKey: 'k1' })).json).toEqual(first.json);
    expect((await answer('ada', ada.id, 'reject', { idempotencyKey: 'k1' })).status).toBe(409);
    expect((await answer('ada', ada.id, 'approve', { idempotencyKey: 'k2' })).status).toBe(409);
  });

  it('is refused to whoever was not asked, and to whoever asks for it', async () => {
    const [ada] = await ask(server, { approvers: ['ada', 'eve'], requester: 'eve' });
    expect((await answer('mallory', ada.id, 'approve')).json).toMatchObject({ status: 403, code: 'not_allowed' });
    expect((await answer('eve', ada.id, 'approve')).json).toMatchObject({ status: 403, code: 'not_allowed' });
    expect((await answer('ada', 'ntc_nothing', 'approve')).status).toBe(404);
    expect((await answer('ada', ada.id, 'whatever')).json).toMatchObject({ status: 404, code: 'action_not_found' });
    expect((await server.call(`/v1/recipients/ada/inbox/${ada.id}`)).json.decision).toEqual({ state: 'open' });
  });

  it('comes too late once the time is over', async () => {
    const [ada] = await ask(server, { approvers: ['ada'], expiresAt: '2026-01-01T00:00:00Z' });
    expect((await answer('ada', ada.id, 'approve')).json).toMatchObject({ status: 410, code: 'expired' });
  });

  it('is told to the open pages of everybody who was asked', async () => {
    const [ada, bob] = await ask(server, { approvers: ['ada', 'bob'] });
    const stream = server.inbox.reader('bob');
    expect(await stream.next()).toMatchObject({ kind: 'counts' });
    await answer('ada', ada.id, 'approve');
    expect(await stream.next()).toEqual({ kind: 'changed', ids: [bob.id], as: 'settled' });
    stream.close();
  });

  it('shows on the live stream of the others with who decided', async () => {
    const [ada, bob] = await ask(server, { approvers: ['ada', 'bob'] });
    const abort = new AbortController();
    const headers = { authorization: `Bearer ${ADMIN_KEY}` };
    const url = `${server.server.url}/v1/recipients/bob/inbox/stream`;
    const stream = await fetch(url, { headers, signal: abort.signal });
    const frames = framesOf(stream);
    expect(await frames.next()).toMatchObject({ value: { event: 'counts' } });
    await answer('ada', ada.id, 'approve');
    const { value } = await frames.next();
    expect(value).toMatchObject({
      event: 'decided',
      data: { items: [{ id: bob.id, decision: { by: { id: 'ada' } } }] },
    });
    abort.abort();
  });

  it('decides for everybody of a rule, and knows where the backend waits although they are told later', async () => {
    const people = ['walker1', 'walker2'];
    for (const id of people)
      await server.call(`/v1/recipients/${id}`, { method: 'PUT', json: { attributes: { team: 'walkers' } } });
    const event = {
      specversion: '1.0',
      id: 'w1',
      source: '/t',
      type: 'asked by rule',
      data: {},
      replyto: 'hr',
      correlationid: 'c1',
    };
    const headers = { 'content-type': 'application/cloudevents+json' };
    await server.call('/v1/topics/hr/events', { json: event, headers });
    const [first, second] = await eventually(async () => {
      const items = await Promise.all(people.map((id) => item(server, id, 'w1')));
      expect(items.every((each) => each !== undefined)).toBe(true);
      return items;
    });
    expect((await answer('walker2', second.id, 'approve')).status).toBe(200);
    expect((await answer('walker1', first.id, 'approve')).json).toMatchObject({ status: 409, by: { id: 'walker2' } });
    const list = await server.call('/v1/questions?recipient=walker1');
    expect(list.json.items).toMatchObject([{ replyTo: 'hr', correlationId: 'c1', decision: { state: 'decided' } }]);
    const [reply] = await eventually(async () => {
      const found = (await server.broker.browse('hr')).filter(({ correlationId }) => correlationId === 'c1').slice(1);
      expect(found).toHaveLength(1);
      return found;
    });
    expect(reply!.properties).toMatchObject({ decision: 'approve', state: 'decided', request: 'w1' });
  });

  it('is there for whoever looks after the system, who can also withdraw what is asked', async () => {
    const [ada] = await ask(server, { approvers: ['ada', 'ivy'] });
    const list = await server.call('/v1/questions?state=open&recipient=ivy');
    expect(list.json.items).toMatchObject([{ notification: 'approval', topic: 'hr', decision: { state: 'open' } }]);
    const [{ id }] = list.json.items;
    expect((await server.call('/v1/questions', { key: 'no' })).status).toBe(401);
    await answer('ada', ada.id, 'reject');
    const story = await server.call(`/v1/questions/${id}`);
    expect(story.json).toMatchObject({ asked: [{ recipientId: 'ada' }, { recipientId: 'ivy' }], work: [] });
    expect(story.json.answers).toMatchObject([
      { actorId: 'ada', outcome: 'reason_required', surface: 'inbox', via: 'key admin' },
    ]);
    expect((await server.call(`/v1/questions/${id}/withdraw`, { method: 'POST' })).json.decision.state).toBe(
      'withdrawn',
    );
    expect((await server.call(`/v1/questions/${id}/withdraw`, { method: 'POST' })).status).toBe(409);
    expect((await answer('ada', ada.id, 'approve')).json).toMatchObject({ status: 410, code: 'withdrawn' });
    expect((await server.call('/v1/questions/qst_x')).status).toBe(404);
    expect((await server.call('/v1/questions/redrive', { method: 'POST' })).json).toEqual({ redriven: 0 });
  });

  describe('by the link of a mail', () => {
    const soon = () => new Date(Date.now() + 60_000);
    const path = (recipientId: string, noticeId: string, actionId: string, expiresAt = soon()) =>
      answerPath({ recipientId, noticeId, actionId, expiresAt }, UNSUBSCRIBE_KEYS);
    const press = (to: string, fields: Record<string, string> = {}) =>
      server.call(to, { key: '', method: 'POST', body: new URLSearchParams(fields) });

    it('shows a page that changes nothing, and answers by its button, once', async () => {
      const [ada] = await ask(server, { approvers: ['ada'] });
      const link = path('ada', ada.id, 'approve');
      for (const method of ['GET', 'HEAD', 'GET'])
        expect((await server.call(link, { key: '', method })).status).toBe(200);
      const page = await server.call(link, { key: '' });
      expect(page.text).toContain('<button>Approve</button>');
      expect(page.headers.get('referrer-policy')).toBe('no-referrer');
      expect((await server.call(`/v1/recipients/ada/inbox/${ada.id}`)).json.decision).toEqual({ state: 'open' });
      const done = await press(link);
      expect([done.status, done.text]).toEqual([200, expect.stringContaining('Approved by ada')]);
      const decided = await server.call(`/v1/recipients/ada/inbox/${ada.id}`);
      expect(decided.json.decision).toMatchObject({ by: { id: 'ada' }, surface: 'email' });
      expect((await press(link)).status).toBe(200); // the same press again: a reload
      const other = await press(path('ada', ada.id, 'reject'), { reason: 'No.' });
      expect([other.status, other.text]).toEqual([409, expect.stringContaining('Approved by ada')]);
      expect((await server.call(link, { key: '' })).text).not.toContain('<button>');
    });

    it('asks for the reason, keeps what was typed, and escapes it', async () => {
      const [ada] = await ask(server, { approvers: ['ada'] });
      const link = path('ada', ada.id, 'reject');
      expect((await server.call(link, { key: '' })).text).toMatch(/<textarea name="reason"[^>]* required/);
      expect((await press(link)).status).toBe(422);
      const long = await press(link, { reason: `</textarea><b>${'x'.repeat(2_000)}` });
      expect([long.status, long.text.includes('<b>x')]).toEqual([422, false]);
      expect((await press(link, { reason: 'Too <b>much</b>.' })).text).toContain('Too &#60;b&#62;much');
    });

    it('shows who asked for it themselves that somebody else answers, and no button', async () => {
      const [ada, eve] = await ask(server, { approvers: ['ada', 'eve'], requester: 'eve' });
      const page = await server.call(path('eve', eve.id, 'approve'), { key: '' });
      expect([page.status, page.text]).toEqual([200, expect.stringContaining('somebody else answers')]);
      expect(page.text).not.toContain('<button>');
      expect((await press(path('eve', eve.id, 'approve'))).status).toBe(403);
      expect((await server.call(path('ada', ada.id, 'approve'), { key: '' })).text).toContain('<button>Approve');
    });

    it('is refused when it is old, changed, signed by somebody else, or not for this person', async () => {
      const [ada, bob] = await ask(server, { approvers: ['ada', 'bob'] });
      const good = path('ada', ada.id, 'approve');
      const payload = Buffer.from(JSON.stringify(['ada', ada.id, 'approve', 9_999_999_999])).toString('base64url');
      const forged = `/v1/answers/${payload}.${good.split('.')[1]}`;
      for (const bad of [`${good.slice(0, -3)}AAA`, '/v1/answers/x', forged]) {
        expect(await press(bad)).toMatchObject({
          status: 400,
          text: expect.stringContaining('not made by this server'),
        });
      }
      const old = path('ada', ada.id, 'approve', new Date(Date.now() - 1000));
      expect(await press(old)).toMatchObject({ status: 410, text: expect.stringContaining('too old') });
      expect((await press(path('mallory', bob.id, 'approve'))).status).toBe(404);
      expect((await server.call(`/v1/recipients/ada/inbox/${ada.id}`)).json.decision).toEqual({ state: 'open' });
    });
  });
});
