import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { useDatabase } from '../../../test/support/database.ts';
import { eventually } from '../../../test/support/eventually.ts';
import { insertNotices } from '../../inbox/append.ts';
import { InboxStream } from '../../inbox/stream.ts';
import type { Card } from '../../kit/card.ts';
import { cardJson } from '../../kit/card.ts';
import { openDecisions } from '../../main/answers.ts';
import { Broker } from '../../topics/broker.ts';
import type { OutgoingMessage } from '../../topics/message.ts';
import { cardVersion } from '../cards/answer-data.ts';
import { openActions } from '../cards/decision.ts';
import { toText } from '../cards/text.ts';
import type { DecisionSignal, Decisions, Settled } from './decisions.ts';
import { forgetAnswers, forgetOldQuestions } from './forget.ts';
import { getQuestion, listQuestions } from './list.ts';
import { type Ask, decisionsOf, openQuestions, questionId } from './question.ts';
import { entityOf } from './reply.ts';

const card: Card = {
  title: 'May we?',
  actions: [
    { id: 'yes', label: 'Yes' },
    { id: 'no', label: 'No' },
  ],
};

describe('decisions', () => {
  const { database } = useDatabase();
  const signals: DecisionSignal[] = [];
  let broker: Broker;
  let inbox: InboxStream;
  let sequence = 0;
  beforeAll(async () => {
    broker = await Broker.start({ database, emit: () => {}, node: { id: 'test' } });
    inbox = await InboxStream.start({ database, emit: () => {} });
    await broker.createTopic('plain'); // without duplicate detection
  });
  afterAll(async () => {
    await inbox.stop();
    await broker.stop();
  });

  type Publish = (topic: string, messages: readonly OutgoingMessage[]) => ReturnType<Broker['publish']>;
  const open = (publish: Publish = (...given) => broker.publish(...given)): Decisions => {
    const through = { publish, browse: broker.browse.bind(broker), topic: broker.topic.bind(broker) };
    return openDecisions({ database, broker: through, inbox, emit: (signal) => signals.push(signal), pollMs: 200 });
  };

  async function ask(people: readonly string[], terms: Partial<Ask> = {}): Promise<Ask[]> {
    const about = { topic: 'hr', partition: 0, sequence: ++sequence, eventId: `e${sequence}`, notification: 'n' };
    const asks = people.map((recipientId) => ({
      ...about,
      noticeId: `ntc_${sequence}_${recipientId}`,
      recipientId,
      request: { messageId: `m${sequence}`, correlationId: `c${sequence}` },
      createdAt: new Date(),
      ...terms,
    }));
    const notices = asks.map(({ noticeId: id, recipientId }) => ({
      notice: { ...about, id, recipientId, category: 'hr', urgency: 'low' as const, card, createdAt: new Date() },
      card: cardJson(card),
      toInbox: false,
    }));
    await database.transaction(async (tx) => {
      await insertNotices(tx, notices);
      await openQuestions(tx, asks);
    });
    return asks;
  }
  const replies = async (topic = 'plain', correlationId = `c${sequence}`) =>
    (await broker.browse(topic)).filter((message) => message.correlationId === correlationId);
  const answer = (asked: Ask, actionId = 'yes') => ({
    noticeId: asked.noticeId,
    actorId: asked.recipientId,
    actionId,
    surface: 'inbox',
  });

  it('answer once although the process died after the answer was published and before that was written down', async () => {
    const [ada] = await ask(['ada'], { replyTo: 'plain' });
    let crashes = 0;
    await using dying = open(async (topic, messages) => {
      const receipts = await broker.publish(topic, messages);
      if (crashes++ < 2) throw new Error('the power went');
      return receipts;
    });
    dying.start();
    await dying.decide(answer(ada!));
    await eventually(async () =>
      expect((await getQuestion(database, questionId(ada!))).work).toMatchObject([
        { kind: 'reply', doneAt: expect.any(Date) },
        {},
      ]),
    );
    expect(crashes).toBe(1); // the second try found it in the topic
    expect(await replies()).toHaveLength(1);
  });

  it('tell every listener again until none of them fails', async () => {
    const [ada] = await ask(['ada', 'bob']);
    const told: Settled[] = [];
    let failures = 0;
    await using decisions = open();
    decisions.onDecided((settled) => void told.push(settled));
    decisions.onDecided(() => {
      if (failures++ === 0) throw new Error('Teams is away');
    });
    decisions.start();
    await decisions.decide(answer(ada!));
    await eventually(() => expect(failures).toBe(2));
    expect(told.at(-1)).toMatchObject({
      notification: 'n',
      decision: { state: 'decided', by: { id: 'ada' }, actionId: 'yes' },
      notices: [{ recipientId: 'ada' }, { recipientId: 'bob' }],
    });
    await eventually(async () =>
      expect((await getQuestion(database, questionId(ada!))).work).toMatchObject([
        { kind: 'tell', doneAt: expect.any(Date) },
      ]),
    );
  });

  it('carry out on start what an earlier run left, on one node only', async () => {
    const [ada] = await ask(['ada'], { replyTo: 'plain' });
    const stopped = open(); // never started: a process that died at once
    await stopped.decide(answer(ada!));
    expect(await replies()).toHaveLength(0);
    await using one = open();
    await using two = open();
    one.start();
    two.start();
    await eventually(async () => expect(await replies()).toHaveLength(1));
    await eventually(async () =>
      expect((await getQuestion(database, questionId(ada!))).work.every(({ doneAt }) => doneAt)).toBe(true),
    );
    expect(await replies()).toHaveLength(1);
  });

  it('expire, and the backend and the surfaces hear of it', async () => {
    const [ada] = await ask(['ada'], { replyTo: 'plain', expiresAt: new Date(Date.now() + 50) });
    const told: Settled[] = [];
    await using decisions = open();
    decisions.onDecided((settled) => void told.push(settled));
    decisions.start();
    await eventually(() => expect(told).toMatchObject([{ decision: { state: 'expired' } }]), 15_000);
    const [reply] = await eventually(async () => {
      const found = await replies();
      expect(found).toHaveLength(1);
      return found;
    });
    expect(JSON.parse(Buffer.from(reply!.body).toString())).toMatchObject({
      state: 'expired',
      decision: null,
      request: ada!.eventId,
    });
    await expect(decisions.decide(answer(ada!))).rejects.toMatchObject({ code: 'expired' });
  });

  it('give who asked for something no buttons, and say why', async () => {
    const [ada, bob] = await ask(['ada', 'bob'], { requester: 'ada', replyTo: 'plain' });
    const found = await decisionsOf(database, [ada!.noticeId, bob!.noticeId]);
    expect(toText(card, { decision: found.get(ada!.noticeId) })).toContain('You asked for this: somebody else answers');
    expect(openActions(card, found.get(ada!.noticeId))).toEqual([]);
    expect(openActions(card, found.get(bob!.noticeId))).toEqual(card.actions);
    await using decisions = open();
    await expect(decisions.decide(answer(ada!))).rejects.toMatchObject({ code: 'not_allowed' });
    await decisions.decide(answer(bob!));
    const settled = await decisionsOf(database, [ada!.noticeId]);
    expect(settled.get(ada!.noticeId)).toMatchObject({ state: 'decided', by: { id: 'bob' } });
    expect(settled.get(ada!.noticeId)).not.toHaveProperty('ownRequest');
  });

  it('are one for each person where the notification says so', async () => {
    const [ada, bob] = await ask(['ada', 'bob'], { each: true });
    await using decisions = open();
    await decisions.decide(answer(ada!, 'yes'));
    await decisions.decide(answer(bob!, 'no'));
    const found = await decisionsOf(database, [ada!.noticeId, bob!.noticeId]);
    expect([...found.values()].map(({ actionId }) => actionId).sort()).toEqual(['no', 'yes']);
  });

  it('refuse an answer to another version of the card', async () => {
    const [ada] = await ask(['ada']);
    await using decisions = open();
    await expect(decisions.decide({ ...answer(ada!), version: 'old' })).rejects.toMatchObject({
      code: 'stale',
      details: { card },
    });
    await decisions.decide({ ...answer(ada!), version: cardVersion(card) });
  });

  it('take who answers from the channel: any card of the question will do, nobody else counts', async () => {
    const [ada, bob] = await ask(['ada', 'bob']);
    await using decisions = open();
    await expect(decisions.decide({ ...answer(ada!), actorId: 'mallory' })).rejects.toMatchObject({
      code: 'not_allowed',
    });
    const decided = await decisions.decide({ ...answer(ada!), actorId: 'bob' });
    expect(decided).toMatchObject({ notice: { id: bob!.noticeId }, decision: { by: { id: 'bob' } } });
    const { answers } = await getQuestion(database, questionId(ada!));
    expect(answers.map(({ actorId, outcome }) => [actorId, outcome])).toEqual([
      ['bob', 'decided'],
      ['mallory', 'not_allowed'],
    ]);
  });

  it('go on for people who are forgotten: what was decided stays, who it was does not', async () => {
    const [ada, bob] = await ask(['ada', 'bob']);
    await using decisions = open();
    await decisions.decide(answer(ada!));
    await database.transaction((tx) => forgetAnswers(tx, 'ada'));
    const story = await getQuestion(database, questionId(ada!));
    expect(story).toMatchObject({
      asked: [{ recipientId: 'bob' }],
      decision: { by: { id: 'forgotten' }, actionId: 'yes' },
    });
    await expect(decisions.decide(answer(bob!))).rejects.toMatchObject({ code: 'already_decided' });
  });

  it('are listed page by page, and forgotten after their time', async () => {
    const day = 86_400_000;
    for (let age = 100; age < 105; age++) await ask(['zoe'], { createdAt: new Date(Date.now() - age * day) });
    const first = await listQuestions(database, { recipientId: 'zoe', limit: 3 });
    const second = await listQuestions(database, { recipientId: 'zoe', limit: 3, after: first.next });
    expect([first.items.length, second.items.length, second.next]).toEqual([3, 2, undefined]);
    expect(await listQuestions(database, { recipientId: 'zoe', state: 'decided' })).toMatchObject({ items: [] });
    const now = new Date();
    await forgetOldQuestions(database, { now, keepDays: 90 });
    expect((await listQuestions(database, { recipientId: 'zoe' })).items.map(({ decision }) => decision.state)).toEqual(
      Array(5).fill('withdrawn'),
    );
    await using decisions = open();
    decisions.start();
    await eventually(async () => {
      await forgetOldQuestions(database, { now: new Date(now.getTime() + 91 * day), keepDays: 90 });
      expect((await listQuestions(database, { recipientId: 'zoe' })).items).toEqual([]);
    });
  });

  it('know an entity by any address that clients write', () => {
    for (const address of ['replies', '/replies', 'sb://bus.example/replies', 'amqps://localhost:5672/replies/']) {
      expect(entityOf(address)).toBe('replies');
    }
  });
});
