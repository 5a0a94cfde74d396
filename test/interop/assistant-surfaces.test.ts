// The budget approval of the original samples, and everything else that people do in Teams and Slack, against stand-ins
// that speak the services' rules, on a whole server.
import { generateKeyPairSync } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { SlackStandin } from '../standins/slack.ts';
import { TeamsStandin } from '../standins/teams.ts';
import { eventually } from '../support/eventually.ts';
import type { ServerProcess } from '../support/server-process.ts';
import { startWithSurfaces } from '../support/teams-server.ts';

let teams: TeamsStandin;
let slack: SlackStandin;
let server: ServerProcess;
beforeAll(async () => {
  teams = await TeamsStandin.start();
  slack = await SlackStandin.start();
  server = await startWithSurfaces({ teams, slack });
}, 120_000);
afterAll(async () => {
  await server?.[Symbol.asyncDispose]();
  await teams?.stop();
  await slack?.stop();
});

const BOB = 'b0b00000-0000-0000-0000-000000000001';
const put = (id: string, body: object) => server.call('PUT', `/v1/recipients/${id}`, body);
let events = 0;
const publish = (topic: string, type: string, data: object) =>
  server.call(
    'POST',
    `/v1/topics/${topic}/events`,
    { specversion: '1.0', id: `e${++events}`, source: '/test', type, data },
    { 'content-type': 'application/cloudevents+json' },
  );
const budget = (approver: string, request: string) =>
  publish('finance', 'finance.budget.requested', {
    request,
    requester: { id: 'ada', name: 'Ada' },
    approver,
    amount: 1200,
    currency: 'EUR',
    purpose: `Chairs ${request}`,
  });
type InboxPage = { items: { id: string; card: { title: string }; decision?: { state: string } }[] };
const inboxOf = (id: string) => server.call<InboxPage>('GET', `/v1/recipients/${id}/inbox`);
const lastIn = <T>(list: readonly T[]) => list.at(-1)!;
const summaryOf = (message: { activity: Record<string, unknown> }) =>
  String(message.activity.summary ?? message.activity.text);

test('installing the app notes where the person is, and a notice arrives there', async () => {
  teams.addPerson(BOB, { name: 'Bob', email: 'bob@example.org' });
  await put('bob', { displayName: 'Bob Miller', email: 'Bob@example.org', timeZone: 'Europe/Vienna' });
  expect(await teams.install(BOB)).toMatchObject({ status: 200 });
  await publish('hr', 'hr.employee.joined', { employee: { id: 'e1', name: 'Cleo' }, team: 'Sales', notify: ['bob'] });
  await eventually(() =>
    expect(lastIn(teams.messagesOf(BOB))).toMatchObject({
      activity: { summary: expect.stringContaining('Cleo has joined') },
    }),
  );
});

test('the budget approval, answered in Teams, turns the card there, in the web chat and in the inbox', async () => {
  await budget('bob', 'R1');
  const message = await eventually(() => {
    const last = lastIn(teams.messagesOf(BOB));
    expect(summaryOf(last)).toContain('Ada asks for');
    return last;
  });
  const answer = await teams.press(BOB, message.id, 'Approve');
  expect(answer).toMatchObject({
    status: 200,
    body: { statusCode: 200, type: 'application/vnd.microsoft.card.adaptive', value: { type: 'AdaptiveCard' } },
  });
  expect(JSON.stringify(answer!.body)).toContain('Approved by Bob Miller');
  await eventually(() => {
    const card = teams.messagesOf(BOB).find(({ id }) => id === message.id)!;
    expect(summaryOf(card)).toContain('Approved by Bob Miller');
    expect(card.updates).toBe(1);
  });
  const { items } = await inboxOf('bob');
  expect(items.find(({ card }) => card.title.includes('Ada asks'))).toMatchObject({ decision: { state: 'decided' } });
});

test('approval decided twice → once: the second press shows who was first', async () => {
  const message = teams.messagesOf(BOB).find((each) => summaryOf(each).includes('Approved by Bob'))!;
  const value = {
    action: { verb: 'decide', data: answerDataOf(await inboxOf('bob'), 'Ada asks', 'reject') },
    trigger: 'manual',
  };
  const late = teams.activityFrom(BOB, { type: 'invoke', name: 'adaptiveCard/action', value, replyToId: message.id });
  const answer = await teams.postToBot(late);
  expect(JSON.stringify(answer.body)).toContain('Approved by Bob Miller');
});

test('a rejection without its reason is refused in words, with it it counts', async () => {
  await budget('bob', 'R2');
  const message = await eventually(() => {
    const last = lastIn(teams.messagesOf(BOB));
    expect(summaryOf(last)).toContain('Chairs R2');
    return last;
  });
  const without = await teams.press(BOB, message.id, 'Reject');
  expect(without!.body).toMatchObject({
    type: 'application/vnd.microsoft.activity.message',
    value: expect.stringContaining('reason'),
  });
  const withIt = await teams.press(BOB, message.id, 'Reject', { 'reason-reject': 'Too dear' });
  expect(JSON.stringify(withIt!.body)).toContain('Too dear');
});

test('403 marks blocked: what comes then waits in the web chat, and is not lost', async () => {
  teams.block(BOB);
  const before = teams.messagesOf(BOB).length;
  await publish('hr', 'hr.employee.left', { employee: { id: 'e2', name: 'Dan' }, team: 'Sales', notify: ['bob'] });
  const said = await eventually(async () => {
    const all = await directLine('bob');
    expect(all.map(({ summary }) => summary).join()).toContain('Dan has left');
    return all;
  });
  expect(said.length).toBeGreaterThan(0);
  expect(teams.messagesOf(BOB)).toHaveLength(before);
  const places = await server.call<{ items: object[] }>('GET', '/v1/recipients/bob/places');
  expect(places.items).toContainEqual(
    expect.objectContaining({ surface: 'teams', state: 'blocked', lastError: 'MessageWritesBlocked' }),
  );
  teams.block(BOB, false);
  await teams.say(BOB, 'hello again'); // whoever speaks there has it open again
  await publish('hr', 'hr.employee.left', { employee: { id: 'e3', name: 'Eve' }, team: 'Sales', notify: ['bob'] });
  await eventually(() => expect(summaryOf(lastIn(teams.messagesOf(BOB)))).toContain('Eve has left'));
});

test('role missing on first update: people of Teams have none, and are known all the same', async () => {
  const update = teams.activityFrom(BOB, { type: 'conversationUpdate', membersAdded: [{ id: `28:${teams.appId}` }] });
  expect(update.from).not.toHaveProperty('role');
  expect(await teams.postToBot(update)).toMatchObject({ status: 200 });
});

test('the assistant answers in plain words: what is new, why, mute and unmute, my approvals', async () => {
  const ask = async (words: string) => {
    const before = teams.messagesOf(BOB).length;
    await teams.say(BOB, words);
    return eventually(() => {
      const said = teams.messagesOf(BOB).slice(before);
      expect(said.length).toBeGreaterThan(0);
      return said.map(summaryOf).join('\n');
    });
  };
  expect(await ask('What is new?')).toMatch(/unread notices?:/);
  expect(await ask('why did I get this')).toContain('employee-changed');
  expect(await ask('mute HR until Monday')).toMatch(/People is muted until Monday,? .*08:00.*Europe\/Vienna/);
  const muted = await server.call<{ categories: { hr: { mutedUntil: string } } }>(
    'GET',
    '/v1/recipients/bob/preferences',
  );
  expect(Date.parse(muted.categories.hr.mutedUntil)).toBeGreaterThan(Date.now());
  expect(await ask('what is muted')).toContain('People until Monday');
  expect(await ask('unmute HR')).toContain('no longer muted');
  await budget('bob', 'R3');
  await eventually(() => expect(summaryOf(lastIn(teams.messagesOf(BOB)))).toContain('Chairs R3'));
  await teams.say(BOB, 'show my approvals');
  await eventually(() => {
    const cards = teams.messagesOf(BOB).filter((each) => summaryOf(each).includes('Chairs R3'));
    expect(cards).toHaveLength(2);
  });
  const [first, again] = teams.messagesOf(BOB).filter((each) => summaryOf(each).includes('Chairs R3'));
  await teams.press(BOB, again!.id, 'Approve');
  await eventually(() => {
    const shown = teams.messagesOf(BOB).filter(({ id }) => id === first!.id || id === again!.id);
    for (const each of shown) expect(summaryOf(each)).toContain('Approved by Bob Miller');
  });
  expect(await ask('show my approvals')).toContain('Nothing waits');
});

test.each([
  ['no token', () => ''],
  ['another bot', () => teams.sign({ aud: 'another' })],
  ['another issuer', () => teams.sign({ iss: 'https://evil.example' })],
  ['an expired token', () => teams.sign({ exp: Math.floor(Date.now() / 1000) - 600 })],
  ['another key', () => teams.sign({}, {}, generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey)],
  ['a token of later', () => teams.sign({ nbf: Math.floor(Date.now() / 1000) + 3600 })],
  ['no algorithm', () => teams.sign({}, { alg: 'none' })],
  ['a changed token', () => `${teams.sign().slice(0, -4)}AAAA`],
])('%s is refused, and nothing is done', async (_, token) => {
  const before = teams.messagesOf(BOB).length;
  const answer = await teams.postToBot(teams.activityFrom(BOB, { type: 'message', text: 'help' }), token());
  expect(answer.status).toBe(401);
  expect(teams.messagesOf(BOB)).toHaveLength(before);
});

test('foreign serviceUrl → 400', async () => {
  const serviceUrl = 'https://evil.example/teams/';
  const activity = teams.activityFrom(BOB, { type: 'message', text: 'help', serviceUrl });
  expect((await teams.postToBot(activity)).status).toBe(400);
  expect((await teams.postToBot(activity, teams.sign({ serviceurl: serviceUrl }))).status).toBe(400);
});

test('a stranger of another tenant, and one whom nobody knows, can do nothing', async () => {
  const conversation = { id: 'a:x', conversationType: 'personal', tenantId: 'another-tenant' };
  const foreign = teams.activityFrom(BOB, { type: 'message', text: 'help', conversation });
  expect((await teams.postToBot(foreign)).status).toBe(403);
  teams.addPerson('nobody', { name: 'Nobody' });
  await teams.install('nobody');
  await teams.say('nobody', 'what is new');
  await eventually(() => expect(summaryOf(lastIn(teams.messagesOf('nobody')))).toContain('do not know you'));
});

test('BroadcastEvent: a service with its key tells somebody something, once; a person cannot', async () => {
  await put('hal', { displayName: 'Hal' });
  await openConversation('hal');
  const { token, conversationId } = await tokenOf('hal');
  const event = {
    type: 'event',
    id: 'b1',
    name: 'BroadcastEvent',
    value: { UserId: 'hal', Message: 'The lift works again' },
  };
  const path = `/v3/directline/conversations/${conversationId}/activities`;
  expect((await server.fetch('POST', path, event)).status).toBe(200);
  expect((await server.fetch('POST', path, event)).status).toBe(200);
  await eventually(async () => {
    const said = await directLine('hal');
    expect(said.filter(({ summary }) => summary?.includes('The lift works again'))).toHaveLength(1);
  }, 30_000);
  const forged = { ...event, id: 'b2', value: { UserId: 'bob', Message: 'Forged' } };
  const refused = await server.fetch('POST', path, forged, { authorization: `Bearer ${token}` });
  expect(refused.status).toBe(403);
  // The same over plain HTTP, as the sample's event.
  await server.call('POST', '/v1/ingest/enterprise-notification', { userid: 'hal', message: 'The lift is broken' });
  await eventually(async () => expect(JSON.stringify(await directLine('hal'))).toContain('The lift is broken'));
  const { items } = await inboxOf('bob');
  expect(JSON.stringify(items)).not.toContain('Forged');
});

test('what comes while a person is away waits in their conversation, and is counted when they open it', async () => {
  await put('ivy', { displayName: 'Ivy' });
  await openConversation('ivy');
  for (const name of ['Jo', 'Kim', 'Lou']) {
    await publish('hr', 'hr.employee.joined', { employee: { id: name, name }, team: 'IT', notify: ['ivy'] });
    await eventually(async () => expect(JSON.stringify(await directLine('ivy'))).toContain(`${name} has`), 20_000);
  }
  await openConversation('ivy');
  const words = await eventually(async () => {
    const said = (await directLine('ivy')).map(({ summary, text }) => summary ?? text ?? '');
    expect(said).toContain('3 notices came while you were away.');
    return said;
  });
  expect(words.filter((each) => each.includes('has joined'))).toHaveLength(3);
  await openConversation('ivy'); // nothing new
  await publish('hr', 'hr.employee.joined', { employee: { id: 'm', name: 'Max' }, team: 'IT', notify: ['ivy'] });
  await eventually(async () => expect(JSON.stringify(await directLine('ivy'))).toContain('Max has joined'));
  expect(JSON.stringify(await directLine('ivy')).match(/while you were away/g)).toHaveLength(1);
});

test('a person who was never in the conversation finds there what waits for them', async () => {
  await put('mia', { displayName: 'Mia' });
  for (const name of ['Ned', 'Ole'])
    await publish('hr', 'hr.employee.joined', { employee: { id: name, name }, team: 'IT', notify: ['mia'] });
  await eventually(async () => expect((await inboxOf('mia')).items).toHaveLength(2));
  expect(await directLine('mia')).toEqual([]);
  await openConversation('mia');
  await eventually(async () => expect(JSON.stringify(await directLine('mia'))).toMatch(/Ned has.*Ole has/));
});

test('SendNotificationToConversation off: nothing comes into the conversation, and the trace says why', async () => {
  await put('jan', { displayName: 'Jan' });
  await server.call('PUT', '/v1/recipients/jan/preferences', { SendNotificationToConversation: false });
  await publish('hr', 'hr.employee.joined', { employee: { id: 'x', name: 'Xu' }, team: 'IT', notify: ['jan'] });
  await eventually(async () => expect((await inboxOf('jan')).items).toHaveLength(1));
  expect(await directLine('jan')).toEqual([]);
  const trace = await server.call<{ items: { detail: string | null }[] }>('GET', '/v1/recipients/jan/trace');
  expect(JSON.stringify(trace)).toContain('switched off for this channel');
});

test('the built-in assistant answers in the web chat, and answers to cards count there', async () => {
  await put('kay', { displayName: 'Kay' });
  await openConversation('kay');
  await budget('kay', 'D1');
  const card = await eventually(async () => {
    const found = (await directLine('kay')).find(({ summary }) => summary?.includes('Chairs D1'));
    expect(found).toBeDefined();
    return found!;
  });
  await speak('kay', { type: 'message', text: 'show my approvals' });
  await eventually(async () => {
    const said = await directLine('kay');
    expect(said.some(({ text }) => text?.includes('One thing waits'))).toBe(true);
    expect(said.filter(({ summary }) => summary?.includes('Chairs D1'))).toHaveLength(2);
  });
  const { items } = await inboxOf('kay');
  const value = { verb: 'decide', carillon: { noticeId: items[0]!.id, actionId: 'reject' } };
  await speak('kay', { type: 'message', value, channelData: { postBack: true } });
  await eventually(async () => expect(JSON.stringify(await directLine('kay'))).toContain('needs a reason'));
  await speak('kay', {
    type: 'message',
    value: { ...value, 'reason-reject': 'No money' },
    channelData: { postBack: true },
  });
  await eventually(async () => {
    const cards = (await directLine('kay')).filter(({ summary }) => summary?.includes('Chairs D1'));
    for (const each of cards) expect(each.summary).toContain('Rejected by Kay');
    expect(cards.find(({ id }) => id === card.id)!.timestamp).toBe(card.timestamp);
  });
});

test('a decision in the inbox shows in Teams and in Slack', async () => {
  slack.addPerson('U9', 'lea@example.org');
  await put('lea', { displayName: 'Lea', email: 'lea@example.org' });
  await budget('lea', 'X1');
  await eventually(() => expect(slack.messagesOf('U9')).toHaveLength(1));
  const { items } = await inboxOf('lea');
  await server.call('POST', `/v1/recipients/lea/inbox/${items[0]!.id}/actions/approve`, {});
  await eventually(() => expect(slack.messagesOf('U9')[0]!.text).toContain('Approved by Lea'));
});

test('Slack: reached by the mail address, approved by a button, the message turns in place', async () => {
  slack.addPerson('U1', 'gil@example.org');
  await put('gil', { displayName: 'Gil', email: 'gil@example.org' });
  await budget('gil', 'S1');
  const message = await eventually(() => {
    const [first] = slack.messagesOf('U1');
    expect(first?.text).toContain('Chairs S1');
    return first!;
  });
  expect((await slack.press('U1', message.ts, 'Approve')).status).toBe(200);
  await eventually(() => {
    expect(slack.messagesOf('U1')).toMatchObject([
      { ts: message.ts, updates: 1, text: expect.stringContaining('Approved by Gil') },
    ]);
  });
});

test('a notice is corrected and then taken back: its card turns in the web chat, in Teams and in Slack, where it stands', async () => {
  const MEG = 'b0b00000-0000-0000-0000-0000000000aa';
  teams.addPerson(MEG, { name: 'Meg', email: 'meg@example.org' });
  slack.addPerson('U7', 'ned@example.org');
  for (const id of ['meg', 'ned']) await put(id, { displayName: id, email: `${id}@example.org` });
  await put('ola', { displayName: 'Ola' });
  await openConversation('ola');
  await teams.install(MEG);
  await publish('hr', 'hr.employee.joined', {
    employee: { id: 'e7', name: 'Quentin' },
    team: 'Sales',
    notify: ['meg', 'ned', 'ola'],
  });
  const event = `e${events}`;
  const before = await eventually(async () => {
    const inTeams = lastIn(teams.messagesOf(MEG));
    const [inSlack] = slack.messagesOf('U7');
    const inChat = (await directLine('ola')).find(({ summary }) => summary?.includes('Quentin'));
    expect(summaryOf(inTeams)).toContain('Quentin');
    expect(inSlack?.text).toContain('Quentin');
    expect(inChat).toBeDefined();
    return { inTeams, inSlack: inSlack!, inChat: inChat! };
  });
  const everywhere = (words: string, updates: number) =>
    eventually(async () => {
      const { inTeams, inSlack, inChat } = before;
      expect(teams.messagesOf(MEG).find(({ id }) => id === inTeams.id)).toMatchObject({
        updates,
        activity: { summary: expect.stringContaining(words) },
      });
      expect(slack.messagesOf('U7')).toMatchObject([{ ts: inSlack.ts, updates, text: expect.stringContaining(words) }]);
      const shown = (await directLine('ola')).filter(({ id }) => id === inChat.id);
      expect(lastIn(shown)).toMatchObject({
        summary: expect.stringContaining(words),
        timestamp: inChat.timestamp,
      });
    });
  const correct = { event, card: { title: 'Quentin Blake has joined', body: 'In Art, not in Sales.' } };
  expect(await server.call('POST', '/v1/topics/hr/notices/update', correct)).toEqual({ notices: 3 });
  await everywhere('In Art, not in Sales.', 1);
  const recall = { event, reason: 'He starts in May.' };
  expect(await server.call('POST', '/v1/topics/hr/notices/recall', recall)).toMatchObject({ notices: 3 });
  await everywhere('This notice was withdrawn', 2);
  for (const shown of [teams.messagesOf(MEG), slack.messagesOf('U7'), await directLine('ola')])
    expect(JSON.stringify(shown)).not.toContain('Quentin');
});

test('Slack: a rejection without a reason opens a form that asks for it', async () => {
  await budget('gil', 'S2');
  const message = await eventually(() => {
    const found = slack.messagesOf('U1').find(({ text }) => text.includes('Chairs S2'));
    expect(found).toBeDefined();
    return found!;
  });
  await slack.press('U1', message.ts, 'Reject');
  const view = await eventually(() => {
    expect(slack.views).toHaveLength(1);
    return slack.views[0]!;
  });
  const empty = await slack.submit('U1', view, { reason: '' });
  expect(await empty.json()).toMatchObject({ response_action: 'errors' });
  expect((await slack.submit('U1', view, { reason: 'Too dear' })).status).toBe(200);
  await eventually(() => {
    const turned = slack.messagesOf('U1').find(({ ts }) => ts === message.ts)!;
    expect(turned.text).toContain('Rejected by Gil');
    expect(turned.text).toContain('Too dear');
  });
});

test('Slack: words are answered; what Slack repeats is answered once', async () => {
  const before = slack.messagesOf('U1').length;
  await slack.say('U1', 'help', { eventId: 'Ev1' });
  await slack.say('U1', 'help', { eventId: 'Ev1', retry: 1 });
  await eventually(() => expect(lastIn(slack.messagesOf('U1')).text).toContain('You can ask me'));
  await slack.say('U1', 'what is muted');
  await eventually(() => expect(lastIn(slack.messagesOf('U1')).text).toContain('Nothing is muted'));
  expect(slack.messagesOf('U1')).toHaveLength(before + 2);
});

test('Slack: a wrong signature and an old request are refused', async () => {
  const body = JSON.stringify({ type: 'url_verification', challenge: 'c' });
  const send = (options: { at?: number; secret?: string }) =>
    slack.send('/events', body, 'application/json', {}, options);
  expect(await (await send({})).json()).toEqual({ challenge: 'c' });
  expect((await send({ secret: 'wrong' })).status).toBe(401);
  expect((await send({ at: Math.floor(Date.now() / 1000) - 301 })).status).toBe(401);
});

type Said = { id: string; summary?: string; text?: string; timestamp: string };
function tokenOf(user: string): Promise<{ token: string; conversationId: string }> {
  return server.call('POST', '/v3/directline/tokens/generate', { user: { id: user } });
}

async function openConversation(user: string): Promise<void> {
  const { token } = await tokenOf(user);
  const headers = { authorization: `Bearer ${token}` };
  const answer = await fetch(`${server.url}/v3/directline/conversations`, { method: 'POST', headers });
  expect(answer.ok).toBe(true);
}

async function speak(user: string, activity: object): Promise<void> {
  const { token, conversationId } = await tokenOf(user);
  const path = `/v3/directline/conversations/${conversationId}/activities`;
  const answer = await server.fetch('POST', path, activity, { authorization: `Bearer ${token}` });
  expect(answer.status).toBe(200);
}

async function directLine(user: string): Promise<Said[]> {
  const { token, conversationId } = await tokenOf(user);
  const headers = { authorization: `Bearer ${token}` };
  const answer = await fetch(`${server.url}/v3/directline/conversations/${conversationId}/activities`, { headers });
  return ((await answer.json()) as { activities: Said[] }).activities;
}

function answerDataOf({ items }: InboxPage, title: string, actionId: string) {
  const item = items.find(({ card, decision }) => card.title.includes(title) && decision?.state === 'decided')!;
  return { verb: 'decide', carillon: { noticeId: item.id, actionId }, 'reason-reject': 'No' };
}
