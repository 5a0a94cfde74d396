// What reaches people in the web chat and in Slack, and what shows on every surface at once, against stand-ins that speak the
// services' rules, on a whole server. What is about Teams alone: assistant-teams.test.ts.
import { expect, test } from 'vitest';
import type { SlackStandin } from '../standins/slack.ts';
import type { TeamsStandin } from '../standins/teams.ts';
import { eventually } from '../support/eventually.ts';
import type { ServerProcess } from '../support/server-process.ts';
import { lastIn, summaryOf, useSurfaces } from '../support/surfaces.ts';

let server: ServerProcess;
let teams: TeamsStandin;
let slack: SlackStandin;
const { put, publish, budget, inboxOf, tokenOf, openConversation, speak, directLine } = useSurfaces((...opened) => {
  [server, teams, slack] = opened;
});

test('BroadcastEvent: a service with its key tells somebody something, once; a person cannot', async () => {
  for (const id of ['hal', 'bob']) await put(id, { displayName: id });
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
  const LOU = 'b0b00000-0000-0000-0000-0000000000bb';
  teams.addPerson(LOU, { name: 'Lou', email: 'lou@example.org' });
  slack.addPerson('U9', 'lea@example.org');
  await put('lea', { displayName: 'Lea', email: 'lea@example.org' });
  await put('lou', { displayName: 'Lou', email: 'lou@example.org' });
  await teams.install(LOU);
  await budget(['lea', 'lou'], 'X1');
  await eventually(() => {
    expect(slack.messagesOf('U9')).toHaveLength(1);
    expect(summaryOf(lastIn(teams.messagesOf(LOU)))).toContain('Chairs X1');
  });
  const { items } = await inboxOf('lea');
  await server.call('POST', `/v1/recipients/lea/inbox/${items[0]!.id}/actions/approve`, {});
  await eventually(() => {
    expect(slack.messagesOf('U9')[0]!.text).toContain('Approved by Lea');
    expect(summaryOf(lastIn(teams.messagesOf(LOU)))).toContain('Approved by Lea');
  });
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
  const event = await publish('hr', 'hr.employee.joined', {
    employee: { id: 'e7', name: 'Quentin' },
    team: 'Sales',
    notify: ['meg', 'ned', 'ola'],
  });
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
