// The budget approval of the original samples, from end to end: finance asks with its Service Bus client, an approver
// answers in the inbox, and finance gets the answer with the same client, whatever dies in between.
import type { ServiceBusMessage } from '@azure/service-bus';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { BusUnderTest, receiveAll } from '../support/service-bus.ts';

type Item = {
  id: string;
  title: string;
  card: { facts: { value: string }[] };
  decision: { state: string; by?: { id: string } };
};

describe('the budget approval', () => {
  let bus: BusUnderTest;
  beforeAll(async () => {
    bus = await BusUnderTest.start();
  });
  afterAll(() => bus?.[Symbol.asyncDispose]());

  async function ask(request: string, replyTo: string, about = {}, message: Partial<ServiceBusMessage> = {}) {
    const requester = { id: 'rae', name: 'Rae' };
    await bus.client.createSender('finance').sendMessages({
      body: { request, requester, approvers: ['grace'], amount: 7450, currency: 'EUR', purpose: 'A loom', ...about },
      messageId: `message of ${request}`,
      replyTo,
      applicationProperties: { type: 'finance.budget.requested' },
      ...message,
    });
  }
  const correlated = (request: string) => ({
    contentType: 'application/json',
    correlationId: `correlation of ${request}`,
  });
  const itemOf = (person: string, request: string): Promise<Item> =>
    eventually(async () => {
      const page = await bus.server.call<{ items: Item[] }>('GET', `/v1/recipients/${person}/inbox?limit=200`);
      const item = page.items.find(({ card }) => card.facts[0]!.value === request);
      expect(item, `${request} in the inbox of ${person}`).toBeDefined();
      return item!;
    }, 30_000);
  const answer = (person: string, notice: string, action: string, inputs = {}) =>
    bus.server.fetch('POST', `/v1/recipients/${person}/inbox/${notice}/actions/${action}`, { inputs });
  // Not by peeking: the client goes on where its last peek of the queue ended, even with another receiver.
  const left = async (queue: string) => (await bus.admin.getQueueRuntimeProperties(queue)).activeMessageCount;

  it('goes from the backend to the approver and back, and counts once', async () => {
    const { queue, receiver } = await bus.queue();
    await ask('BUD-1', queue, { approvers: ['grace', 'joan'] }, correlated('BUD-1'));
    const [forGrace, forJoan] = [await itemOf('grace', 'BUD-1'), await itemOf('joan', 'BUD-1')];
    expect((await answer('grace', forGrace.id, 'approve')).status).toBe(200);
    const late = await answer('joan', forJoan.id, 'reject', { reason: 'No.' });
    expect(late.status).toBe(409);
    expect(await late.json()).toMatchObject({ code: 'already_decided', by: { id: 'grace' } });
    const [reply] = await receiveAll(receiver(), 1);
    expect(reply).toMatchObject({
      correlationId: 'correlation of BUD-1',
      contentType: 'application/json',
      body: {
        request: 'message of BUD-1',
        notification: 'budget-approval',
        decision: 'approve',
        by: { id: 'grace' },
        surface: 'inbox',
      },
      applicationProperties: { decision: 'approve', state: 'decided', 'cloudEvents:type': 'carillon.answer' },
    });
    await receiver().completeMessage(reply!);
    expect(await left(queue)).toBe(0);
    expect((await itemOf('joan', 'BUD-1')).decision).toMatchObject({ state: 'decided', by: { id: 'grace' } });
  });

  it('carries the reason of a rejection, and answers into the session that the backend waits in', async () => {
    const { queue } = await bus.queue({ requiresSession: true });
    await ask('BUD-2', queue, { approvers: undefined, approver: 'grace' }, { replyToSessionId: 'desk 7' });
    const item = await itemOf('grace', 'BUD-2');
    expect((await answer('grace', item.id, 'reject')).status).toBe(422);
    expect((await answer('grace', item.id, 'reject', { reason: 'Not this quarter.' })).status).toBe(200);
    const session = await bus.client.acceptSession(queue, 'desk 7');
    const [reply] = await receiveAll(session, 1);
    // Without a correlation id in the request its message id stands for it.
    expect(reply).toMatchObject({
      correlationId: 'message of BUD-2',
      body: { decision: 'reject', reason: 'Not this quarter.' },
    });
    await session.close();
  });

  it('a changed request takes the place of the earlier one, whose card can no longer be answered', async () => {
    const { queue, receiver } = await bus.queue();
    await ask('BUD-3', queue, {}, correlated('BUD-3'));
    const old = await itemOf('grace', 'BUD-3');
    const changed = { amount: 9000, purpose: 'Two looms' };
    await ask('BUD-3', queue, changed, { messageId: 'message of BUD-3, changed' });
    const refused = await eventually(async () => {
      const fresh = await itemOf('grace', 'BUD-3');
      expect(fresh.id).not.toBe(old.id);
      return answer('grace', old.id, 'approve');
    });
    const fresh = await itemOf('grace', 'BUD-3');
    expect(await refused.json()).toMatchObject({ status: 409, code: 'stale', noticeId: fresh.id, card: fresh.card });
    expect((await answer('grace', fresh.id, 'approve')).status).toBe(200);
    const replies = await receiveAll(receiver(), 2);
    expect(replies.map(({ body }) => [body.request, body.state, body.decision])).toEqual([
      ['message of BUD-3', 'withdrawn', null],
      ['message of BUD-3, changed', 'decided', 'approve'],
    ]);
  });

  it('answers once although the server is killed between the decision and the answer', async () => {
    const kills = 2;
    const { queue, receiver } = await bus.queue();
    const requests = Array.from({ length: kills }, (_, i) => `BUD-${queue}-${i}`);
    for (const request of requests) await ask(request, queue, {}, correlated(request));
    for (const request of requests) {
      const item = await itemOf('grace', request);
      expect((await answer('grace', item.id, 'approve')).status).toBe(200);
      await bus.server.end('SIGKILL');
      await bus.server.start();
      expect((await itemOf('grace', request)).decision).toMatchObject({ state: 'decided', by: { id: 'grace' } });
    }
    // The process that was killed may have held the answer, for 30 s: the next run of its node does not wait for that.
    await eventually(async () => expect(await left(queue)).toBe(kills), 15_000);
    const replies = await receiveAll(receiver(), kills);
    expect(replies.map(({ correlationId }) => correlationId).sort()).toEqual(
      requests.map((each) => `correlation of ${each}`),
    );
  });

  it('waits with the answer until the queue for it is there, also over a crash', async () => {
    await ask('BUD-4', 'made-later', {}, correlated('BUD-4'));
    const item = await itemOf('grace', 'BUD-4');
    expect((await answer('grace', item.id, 'approve')).status).toBe(200);
    await bus.server.end('SIGKILL');
    await bus.server.start();
    await bus.admin.createQueue('made-later');
    await eventually(async () => expect(await left('made-later')).toBe(1), 15_000);
    const [reply] = await receiveAll(bus.client.createReceiver('made-later'), 1);
    expect(reply).toMatchObject({ correlationId: 'correlation of BUD-4', body: { decision: 'approve' } });
  });
});
