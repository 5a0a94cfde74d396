// What people do in Teams, and what others try there, against a stand-in that speaks the service's rules, on a whole server:
// the budget approval of the original samples, the assistant's answers, and requests that are not from Teams.
import { generateKeyPairSync } from 'node:crypto';
import { expect, test } from 'vitest';
import type { TeamsStandin } from '../standins/teams.ts';
import { eventually } from '../support/eventually.ts';
import type { ServerProcess } from '../support/server-process.ts';
import { type InboxPage, lastIn, summaryOf, useSurfaces } from '../support/surfaces.ts';

const BOB = 'b0b00000-0000-0000-0000-000000000001';
let server: ServerProcess;
let teams: TeamsStandin;
const { put, publish, budget, inboxOf, directLine } = useSurfaces((...opened) => {
  [server, teams] = opened;
});

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

function answerDataOf({ items }: InboxPage, title: string, actionId: string) {
  const item = items.find(({ card, decision }) => card.title.includes(title) && decision?.state === 'decided')!;
  return { verb: 'decide', carillon: { noticeId: item.id, actionId }, 'reason-reject': 'No' };
}
