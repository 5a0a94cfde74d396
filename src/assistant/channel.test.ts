import { afterEach, expect, test, vi } from 'vitest';
import { useDatabase } from '../../test/support/database.ts';
import { eventually } from '../../test/support/eventually.ts';
import type { ClaimedDelivery } from '../deliveries/channel.ts';
import { insertNotices } from '../inbox/append.ts';
import { recallInInboxes } from '../inbox/change.ts';
import type { Notice } from '../inbox/notice.ts';
import { type Card, cardJson } from '../kit/card.ts';
import type { Decision } from './cards/decision.ts';
import { type ConversationSignal, conversationChannel } from './channel.ts';
import type { Activity } from './conversations/activity.ts';
import { conversationOf, openConversation } from './conversations/conversation.ts';
import { readAfter } from './conversations/read.ts';
import { directLinePoster } from './directline-poster.ts';
import { CardEditor } from './editor.ts';
import { requestEdits } from './posted.ts';
import type { Poster } from './poster.ts';
import { captureReference } from './references/references.ts';

const { database } = useDatabase();
const woken: string[] = [];
const signals: ConversationSignal[] = [];
const decisions = new Map<string, Decision>();
const posters = [directLinePoster({ database, wake: (ids) => woken.push(...ids) })];
const deps = {
  database,
  posters,
  decisionsOf: async () => decisions,
  emit: (signal: ConversationSignal) => signals.push(signal),
};
const channel = conversationChannel(deps);
let editor: CardEditor | undefined;
afterEach(() => editor?.stop());

let notices = 0;
async function plan(recipientId: string, card: Partial<Card> = {}, attempt = 1): Promise<ClaimedDelivery> {
  const id = `ntc_${++notices}`;
  const whole = { title: `Notice ${notices}`, ...card };
  const about = {
    topic: 'hr',
    partition: 0,
    sequence: notices,
    eventId: `e${notices}`,
    notification: 'n',
    category: 'hr',
  };
  const notice: Notice = { id, recipientId, ...about, urgency: 'normal', card: whole, createdAt: new Date() };
  await database.transaction((tx) => insertNotices(tx, [{ notice, card: cardJson(whole), toInbox: false }]));
  const now = new Date();
  const times = { plannedFor: now, dueAt: now, attempt, failures: 0 };
  return {
    id: `dlv_${notices}`,
    noticeId: id,
    recipientId,
    channel: 'conversation',
    endpoint: null,
    urgency: 'normal',
    ...times,
  };
}

async function said(conversationId: string): Promise<Activity[]> {
  const rows = await readAfter(database, [{ conversationId, after: 0 }], 100);
  return rows.map(({ content }) => JSON.parse(content) as Activity);
}

test('a person who has no conversation yet has it waiting in their standing one', async () => {
  const outcomes = await channel.deliver([await plan('ada'), await plan('ada'), await plan('ben')]);
  expect(outcomes.map(({ kind }) => kind)).toEqual(['delivered', 'delivered', 'delivered']);
  const { id } = await conversationOf(database, 'ada');
  expect((await said(id)).map(({ summary }) => summary)).toEqual(['Notice 1', 'Notice 2']);
  expect(woken).toContain(id);
});

test('it goes where the person was seen last, with a text twin and what pages need to know', async () => {
  const other = await openConversation(database, { recipientId: 'cleo' });
  await captureReference(database, {
    recipientId: 'cleo',
    channel: 'directline',
    connection: 'assistant',
    place: other.id,
    address: {},
    seenAt: new Date(),
  });
  const delivery = await plan('cleo', { body: 'A line', facts: [{ label: 'Team', value: 'A' }] });
  await channel.deliver([delivery]);
  const [activity] = await said(other.id);
  expect(activity).toMatchObject({
    type: 'message',
    id: delivery.id,
    summary: expect.stringContaining('Team: A'),
    attachments: [{ contentType: 'application/vnd.microsoft.card.adaptive' }],
    channelData: { noticeId: delivery.noticeId, category: 'hr' },
  });
});

test('an attempt that is repeated after a crash says nothing twice', async () => {
  const delivery = await plan('dora');
  await channel.deliver([delivery]);
  const [again] = await channel.deliver([{ ...delivery, attempt: 2 }]);
  expect(again).toEqual({ kind: 'delivered', providerId: delivery.id });
  // Even where the first attempt died before it could be noted.
  await database.query('delete from posted_card where delivery_id = $1', [delivery.id]);
  expect(await channel.deliver([{ ...delivery, attempt: 3 }])).toMatchObject([{ kind: 'delivered' }]);
  expect(await said((await conversationOf(database, 'dora')).id)).toHaveLength(1);
});

test('a conversation that is gone is marked, and the notice goes to the next place', async () => {
  const common = { recipientId: 'eve', channel: 'directline', connection: 'assistant', address: {} } as const;
  await captureReference(database, { ...common, place: 'removed', seenAt: new Date() });
  const outcomes = await channel.deliver([await plan('eve'), await plan('fay')]);
  expect(outcomes.map(({ kind }) => kind)).toEqual(['delivered', 'delivered']);
  expect(await said((await conversationOf(database, 'eve')).id)).toHaveLength(1);
  expect(signals).toContainEqual({
    name: 'conversation.place-lost',
    surface: 'directline',
    state: 'gone',
    cause: 'conversation_not_found',
  });
});

test('a card that was decided before it could be posted says so in the time of its reader', async () => {
  const times = "'2026-01-01T00:00:00Z', '2026-01-01T00:00:00Z'";
  await database.query(
    `insert into recipient (id, time_zone, created_at, updated_at) values ('hana', 'Asia/Tokyo', ${times})`,
  );
  const delivery = await plan('hana', { actions: [{ id: 'approve', label: 'Approve', done: 'Approved' }] });
  const at = new Date('2026-03-01T20:30:00Z');
  decisions.set(delivery.noticeId, { state: 'decided', actionId: 'approve', by: { id: 'gil' }, at });
  await channel.deliver([delivery]);
  const [activity] = await said((await conversationOf(database, 'hana')).id);
  expect(activity!.summary).toContain('2 Mar 2026, 05:30');
});

test('a card that was decided turns in place: same id, same time, nothing new in the conversation', async () => {
  const actions = [{ id: 'approve', label: 'Approve', done: 'Approved' }];
  const delivery = await plan('gil', { actions });
  await channel.deliver([delivery]);
  const { id } = await conversationOf(database, 'gil');
  const [before] = await said(id);
  editor = new CardEditor(deps);
  editor.start();
  decisions.set(delivery.noticeId, {
    state: 'decided',
    actionId: 'approve',
    by: { id: 'gil', name: 'Gil' },
    at: new Date(),
  });
  await requestEdits(database, [delivery]);
  editor.wake();
  await eventually(async () => {
    expect(signals.filter(({ name }) => name === 'conversation.edit-failed')).toEqual([]);
    const [after, ...rest] = await said(id);
    expect(after!.summary).toContain('Approved by Gil');
    expect(after).toMatchObject({ id: before!.id, timestamp: before!.timestamp });
    expect(rest).toEqual([]);
  });
});

test('a notice that is taken back while it is being posted is edited right after', async () => {
  const delivery = await plan('ida', { body: 'secret' });
  const { recipientId, noticeId } = delivery;
  const recall = () =>
    database.transaction((tx) => recallInInboxes(tx, [{ recipientId, noticeId }], 'An error.', new Date()));
  const [poster] = posters;
  const slow: Poster = {
    ...poster!,
    post: async (posts) => {
      const results = await poster!.post(posts);
      // Its card stands there, and nobody knows of it yet.
      await recall();
      await requestEdits(database, [delivery]);
      return results;
    },
  };
  editor = new CardEditor(deps);
  const channel = conversationChannel({ ...deps, posters: [slow], edit: () => editor!.wake() });
  expect(await channel.deliver([delivery])).toMatchObject([{ kind: 'delivered' }]);
  const { id } = await conversationOf(database, 'ida');
  await eventually(async () => {
    const [activity, ...rest] = await said(id);
    expect(activity!.summary).toBe('This notice was withdrawn\n\nAn error.');
    expect(rest).toEqual([]);
  });
});

test('it is edited as well where the attempt died between posting and looking', async () => {
  const delivery = await plan('kim', { body: 'secret' });
  const asked = vi.fn();
  const channel = conversationChannel({ ...deps, edit: asked });
  await channel.deliver([delivery]);
  expect(asked).not.toHaveBeenCalled();
  // However long ago that was.
  const minutesAgo = (minutes: number) => new Date(Date.now() - minutes * 60_000);
  await database.query('update posted_card set posted_at = $2 where delivery_id = $1', [delivery.id, minutesAgo(20)]);
  await database.transaction((tx) => recallInInboxes(tx, [delivery], undefined, minutesAgo(19)));
  expect(await channel.deliver([{ ...delivery, attempt: 2 }])).toMatchObject([{ kind: 'delivered' }]);
  expect(asked).toHaveBeenCalledOnce();
  expect(await database.query('select edit_due_at from posted_card where delivery_id = $1', [delivery.id])).toEqual([
    { edit_due_at: expect.any(Date) },
  ]);
});

test('a notice that was taken back is not posted', async () => {
  const delivery = await plan('jon');
  await database.transaction((tx) => recallInInboxes(tx, [delivery], undefined, new Date()));
  expect(await channel.deliver([delivery])).toEqual([{ kind: 'refused', cause: 'notice_removed' }]);
});
