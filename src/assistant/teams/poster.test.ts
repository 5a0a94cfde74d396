import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { TeamsStandin } from '../../../test/standins/teams.ts';
import type { Notice } from '../../inbox/notice.ts';
import type { Card } from '../../kit/card.ts';
import type { Post } from '../poster.ts';
import type { Reference } from '../references/reference.ts';
import type { TeamsConnection } from './connection.ts';
import { checkSize } from './connector.ts';
import { openTeamsLine, TeamsPoster } from './poster.ts';

let teams: TeamsStandin;
beforeAll(async () => {
  teams = await TeamsStandin.start();
});
afterAll(() => teams.stop());
afterEach(() => teams.service.fail(undefined));

let people = 0;
let person: string;
beforeEach(() => {
  person = `person-${++people}`;
  teams.addPerson(person);
});

const poster = (more: Partial<TeamsConnection> = {}) =>
  new TeamsPoster(new Map([['main', openTeamsLine({ ...teams.connection, ...more })]]));
const reference = (): Reference => ({
  recipientId: 'ada',
  channel: 'teams',
  connection: 'main',
  place: teams.chatIdOf(person)!,
  person,
  address: { serviceUrl: `${teams.endpoints.service}/`, conversationId: teams.chatIdOf(person)! },
  state: 'ok',
  lastSeenAt: new Date(),
  lastError: undefined,
  throttledUntil: undefined,
});

let notices = 0;
function post(card: Partial<Card> = {}, where: Reference = reference()): Post {
  const id = `ntc_${++notices}`;
  const about = { topic: 'hr', partition: 0, sequence: 1, eventId: 'e', notification: 'n', category: 'hr' };
  const notice: Notice = {
    id,
    recipientId: 'ada',
    ...about,
    urgency: 'normal',
    card: { title: `Notice ${notices}`, ...card },
    createdAt: new Date(),
  };
  return { reference: where, content: { notice }, deliveryId: `dlv_${notices}` };
}
const likely = () => poster().likely({ id: 'ada', attributes: {}, addresses: { teams: person } })[0]!;

test('a notice arrives as a card with its text twin, and what follows edits it in place', async () => {
  await teams.install(person);
  const line = poster();
  const first = post({ body: 'A line', facts: [{ label: 'Team', value: 'A' }] });
  const [result] = await line.post([first]);
  const [message] = teams.messagesOf(person);
  expect(result).toMatchObject({ kind: 'posted', activityId: message!.id });
  expect(message!.activity).toMatchObject({
    type: 'message',
    from: { id: `28:${teams.appId}` },
    summary: expect.stringContaining('Team: A'),
    attachments: [{ contentType: 'application/vnd.microsoft.card.adaptive', content: { version: '1.5' } }],
  });
  const decision = { state: 'withdrawn', at: new Date() } as const;
  const edit = { reference: reference(), content: { ...first.content, decision }, activityId: message!.id };
  expect(await line.edit([{ ...edit, postedAt: new Date(0) }])).toMatchObject([{ kind: 'posted', at: new Date(0) }]);
  expect(teams.messagesOf(person)).toMatchObject([
    { updates: 1, activity: { summary: expect.stringContaining('withdrawn') } },
  ]);
});

test('empty id from send: the notice is delivered, and nobody tries to edit it', async () => {
  await teams.install(person);
  teams.tellsIds = false;
  const results = await poster().post([post()]);
  teams.tellsIds = true;
  expect(results).toMatchObject([{ kind: 'posted', activityId: undefined }]);
});

test('notices of one chat arrive in their order', async () => {
  await teams.install(person);
  const posts = [post(), post(), post(), post()];
  await poster().post(posts);
  const said = teams.messagesOf(person).map(({ activity }) => activity.summary);
  expect(said).toEqual(posts.map(({ content }) => content.notice.card.title));
});

test('a burst keeps to the limits of Teams: not one call is throttled, and the rest comes back later', async () => {
  await teams.install(person);
  const before = teams.throttled;
  const results = await poster().post(Array.from({ length: 12 }, () => post()));
  const posted = results.filter(({ kind }) => kind === 'posted');
  expect(teams.throttled).toBe(before);
  expect(posted.length).toBeGreaterThanOrEqual(8);
  expect(teams.messagesOf(person)).toHaveLength(posted.length);
  for (const result of results.filter(({ kind }) => kind === 'paced'))
    expect(result).toMatchObject({ retryAfterMs: expect.any(Number) });
});

test('429 honours Retry-After', async () => {
  await teams.install(person);
  const answer = { status: 429, headers: { 'retry-after': '17' }, body: '{"error":{"code":"TooManyRequests"}}' };
  const line = poster();
  await line.post([post()]);
  teams.service.fail({ kind: 'answer', answer, times: 1 });
  expect(await line.post([post()])).toMatchObject([{ kind: 'retry', cause: 'TooManyRequests', retryAfterMs: 17_000 }]);
});

test.each([412, 500, 502, 503, 504])('%i is tried again', async (status) => {
  await teams.install(person);
  const line = poster();
  await line.post([post()]);
  teams.service.fail({ kind: 'answer', answer: { status, body: 'gateway' }, times: 1 });
  expect(await line.post([post()])).toMatchObject([{ kind: 'retry', cause: `http_${status}` }]);
  expect(await line.post([post()])).toMatchObject([{ kind: 'posted' }]);
});

test('403 marks blocked, and a chat that is no more is gone', async () => {
  await teams.install(person);
  const where = reference();
  teams.block(person);
  expect(await poster().post([post({}, where)])).toMatchObject([{ kind: 'blocked', cause: 'MessageWritesBlocked' }]);
  teams.block(person, false);
  await teams.uninstall(person);
  expect(await poster().post([post({}, where)])).toMatchObject([{ kind: 'gone', cause: 'BotNotInConversationRoster' }]);
  teams.removeChat(person);
  expect(await poster().post([post({}, where)])).toMatchObject([{ kind: 'gone', cause: 'ConversationNotFound' }]);
});

test('card over the size limit is refused before it is sent, with a message that says what to do', async () => {
  await teams.install(person);
  const before = teams.service.requests;
  const [result] = await poster().post([post({ body: 'x'.repeat(60_000) })]);
  expect(result).toMatchObject({
    kind: 'refused',
    cause: 'MessageSizeTooBig',
    detail: expect.stringContaining('UTF-16'),
  });
  expect(teams.service.requests).toBe(before);
  // 60 KB of ASCII are 120 KB in UTF-16; as many bytes in UTF-8 of a script of three bytes each are less.
  expect(checkSize('漢'.repeat(40_000))).toBeUndefined();
});

test('a token that was revoked is fetched anew; a wrong secret stops the connection and asks no more for a while', async () => {
  await teams.install(person);
  const line = poster();
  await line.post([post()]);
  teams.revokeTokens();
  expect(await line.post([post()])).toMatchObject([{ kind: 'posted' }]);
  const wrong = poster({ secret: 'wrong' });
  expect(await wrong.post([post()])).toMatchObject([{ kind: 'stopped', cause: 'invalid_client' }]);
  const before = teams.service.requests;
  expect(await wrong.post([post()])).toMatchObject([{ kind: 'paced' }]);
  expect(teams.service.requests).toBe(before);
});

test('a service that cannot be reached stops the connection', async () => {
  await teams.install(person);
  const line = poster();
  await line.post([post()]);
  teams.service.fail({ kind: 'cut', times: 1 });
  expect(await line.post([post()])).toMatchObject([{ kind: 'stopped', cause: expect.any(String) }]);
});

test('somebody who has the app and never spoke is reached by their id; the chat is opened once', async () => {
  await teams.install(person);
  const results = await poster().post([post({}, likely()), post({}, likely())]);
  const opened = { channel: 'teams', place: teams.chatIdOf(person), person };
  expect(results).toMatchObject([
    { kind: 'posted', opened },
    { kind: 'posted', opened },
  ]);
  expect(teams.messagesOf(person)).toHaveLength(2);
});

test('somebody without the app is reached after Graph has installed it, where the connection may', async () => {
  const without = await poster().post([post({}, likely())]);
  expect(without).toMatchObject([{ kind: 'gone', cause: 'BotNotInConversationRoster' }]);
  const before = teams.installs;
  const results = await poster({ installApp: teams.manifestId }).post([post({}, likely())]);
  expect(results).toMatchObject([{ kind: 'posted', opened: { place: teams.chatIdOf(person) } }]);
  expect(teams.installs).toBe(before + 1);
  expect(teams.messagesOf(person)).toHaveLength(1);
});

test('an app that is not in the catalogue is about the connection, not about the person', async () => {
  const results = await poster({ installApp: 'another' }).post([post({}, likely())]);
  expect(results).toMatchObject([{ kind: 'stopped', cause: 'app_not_in_catalogue' }]);
});

test('a foreign service address gets neither a token nor a word', async () => {
  await teams.install(person);
  const address = { serviceUrl: 'https://evil.example/teams', conversationId: 'c' };
  const [result] = await poster().post([post({}, { ...reference(), address })]);
  expect(result!.kind).not.toBe('posted');
});
