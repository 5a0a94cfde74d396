// Every operation of `$management` as it stands in the protocol, line by line: what is asked, with which types, and what
// comes back. Azure's JavaScript client hides the replies, and has no call for some of them.

import rhea from 'rhea';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { nextMessage, RheaClient } from '../support/rhea-client.ts';
import { BusUnderTest, name, receiveAll, SAS_KEY } from '../support/service-bus.ts';

const { types } = rhea;
const long = (value: number) => types.wrap_long(value);
const longs = (values: readonly number[]) => types.wrap_array(values as number[], 0x81, undefined);
const int = (value: number) => types.wrap_int(value);
const uuids = (tags: readonly Buffer[]) => types.wrap_array(tags.map(uuidOf) as never, 0x98, undefined);
const time = (at: number) => types.wrap_timestamp(at);
const later = (body: string, minutes = 60) =>
  rhea.message.encode({
    body,
    message_annotations: { 'x-opt-scheduled-enqueue-time': time(Date.now() + minutes * 60_000) },
  } as never);

/** A delivery tag is the lock token with its first three groups reversed. */
function uuidOf(tag: Buffer): Buffer {
  return Buffer.from([3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15].map((at) => tag[at]!));
}

describe('$management', () => {
  let bus: BusUnderTest;
  let client: RheaClient;
  beforeAll(async () => {
    bus = await BusUnderTest.start();
    client = await RheaClient.open(bus.server.amqpPort, SAS_KEY);
  });
  afterAll(async () => {
    await client?.[Symbol.asyncDispose]();
    await bus?.[Symbol.asyncDispose]();
  });

  /** A queue with messages of these bodies, and one of them locked for each of `locked`. */
  async function queueWith(bodies: readonly string[], locked = 0, settings: object = {}, more: object = {}) {
    const { queue, sender } = await bus.queue(settings);
    await sender.sendMessages(bodies.map((body) => ({ body, ...more })));
    const tags: Buffer[] = [];
    if (locked > 0) {
      const receiver = await client.receiver({ source: queue, name: name('link') });
      for (let i = 0; i < locked; i++) tags.push((await nextMessage(receiver)).delivery!.tag as Buffer);
    }
    return { queue, tags };
  }

  const manage = (queue: string, operation: string, body: object) => client.manage(queue, operation, body);
  const encoded = (body: unknown) =>
    (body as { messages: { message: Buffer }[] }).messages.map(({ message }) => rhea.message.decode(message));

  it('peek-message: a page of whole messages from a number on; without bodies when asked; 204 at the end', async () => {
    const { queue } = await queueWith(['a', 'b', 'c']);
    const page = await manage(queue, 'peek-message', { 'from-sequence-number': long(2), 'message-count': int(5) });
    expect(page.status).toBe(200);
    const messages = encoded(page.body);
    expect(messages.map((message) => message.message_annotations!['x-opt-sequence-number'])).toEqual([2, 3]);
    expect(messages[0]!.message_annotations!['x-opt-message-state']).toBe(0);
    const bare = { 'from-sequence-number': long(1), 'message-count': int(1), 'omit-message-body': true };
    expect(encoded((await manage(queue, 'peek-message', bare)).body)[0]!.body).toBeUndefined();
    const end = await manage(queue, 'peek-message', { 'from-sequence-number': long(9), 'message-count': int(1) });
    expect(end).toMatchObject({ status: 204, body: null });
    const none = await manage(queue, 'peek-message', { 'message-count': int(0) });
    expect(none).toMatchObject({ status: 400, condition: 'com.microsoft:argument-error' });
  });

  it('renew-lock: the new ends in order; a lost lock is 410', async () => {
    const { queue, tags } = await queueWith(['a', 'b'], 2);
    const renewed = await manage(queue, 'renew-lock', { 'lock-tokens': uuids(tags) });
    expect(renewed.status).toBe(200);
    const { expirations } = renewed.body as { expirations: Date[] };
    expect(expirations).toHaveLength(2);
    for (const end of expirations) expect(new Date(end).getTime()).toBeGreaterThan(Date.now() + 50_000);
    const lost = await manage(queue, 'renew-lock', { 'lock-tokens': uuids([Buffer.alloc(16, 7)]) });
    expect(lost).toMatchObject({ status: 410, condition: 'com.microsoft:message-lock-lost' });
  });

  it('schedule-message and cancel-scheduled-message: numbers come back; unknown ones are 404', async () => {
    const { queue } = await queueWith([]);
    const messages = ['x', 'y'].map((body) => ({ 'message-id': body, message: later(body) }));
    const scheduled = await manage(queue, 'schedule-message', { messages });
    expect(scheduled.status).toBe(200);
    const numbers = (scheduled.body as { 'sequence-numbers': number[] })['sequence-numbers'].map(Number);
    expect(numbers).toHaveLength(2);
    expect((await manage(queue, 'cancel-scheduled-message', { 'sequence-numbers': longs(numbers) })).status).toBe(200);
    const again = await manage(queue, 'cancel-scheduled-message', { 'sequence-numbers': longs(numbers) });
    expect(again).toMatchObject({ status: 404, condition: 'com.microsoft:message-not-found' });
    const huge = { messages: [{ 'message-id': 'h', message: later('h'.repeat(1_100_000)) }] };
    expect(await manage(queue, 'schedule-message', huge)).toMatchObject({
      status: 403,
      condition: 'amqp:link:message-size-exceeded',
    });
    const now = { messages: [{ 'message-id': 'n', message: rhea.message.encode({ body: 'n' }) }] };
    expect(await manage(queue, 'schedule-message', now)).toMatchObject({ status: 400 });
  });

  it('receive-by-sequence-number: deferred messages, locked with a token, or taken; unknown ones are 404', async () => {
    const { queue, tags } = await queueWith(['a', 'b'], 2);
    const disposition = { 'disposition-status': 'defered', 'lock-tokens': uuids(tags) };
    expect((await manage(queue, 'update-disposition', disposition)).status).toBe(200);
    const ask = (numbers: number[], mode: unknown) =>
      manage(queue, 'receive-by-sequence-number', { 'sequence-numbers': longs(numbers), 'receiver-settle-mode': mode });
    // With one that is not there none is taken, and none stays locked.
    for (const mode of [types.wrap_ubyte(0), types.wrap_uint(1)]) expect((await ask([1, 99], mode)).status).toBe(404);
    const locked = await ask([1], types.wrap_uint(1));
    expect(locked.status).toBe(200);
    const [first] = (locked.body as { messages: { 'lock-token': Buffer }[] }).messages;
    expect(first!['lock-token']).toHaveLength(16);
    expect(encoded(locked.body)[0]).toMatchObject({ delivery_count: 1 });
    expect((await ask([2], types.wrap_ubyte(0))).status).toBe(200);
    expect(await ask([2], types.wrap_uint(1))).toMatchObject({
      status: 404,
      condition: 'com.microsoft:message-not-found',
    });
    const token = types.wrap_array([first!['lock-token']] as never, 0x98, undefined);
    const done = { 'disposition-status': 'completed', 'lock-tokens': token };
    expect((await manage(queue, 'update-disposition', done)).status).toBe(200);
    expect((await bus.admin.getQueueRuntimeProperties(queue)).totalMessageCount).toBe(0);
  });

  it('update-disposition: completed, abandoned with changes, suspended with its reason; lost locks are 410', async () => {
    const { queue, tags } = await queueWith(['a', 'b', 'c'], 3);
    const settle = (tag: Buffer, status: string, more: object = {}) =>
      manage(queue, 'update-disposition', { 'disposition-status': status, 'lock-tokens': uuids([tag]), ...more });
    expect((await settle(tags[0]!, 'completed')).status).toBe(200);
    expect((await settle(tags[1]!, 'abandoned', { 'properties-to-modify': { why: 'busy' } })).status).toBe(200);
    const reason = { 'deadletter-reason': 'bad', 'deadletter-description': 'very' };
    expect((await settle(tags[2]!, 'suspended', reason)).status).toBe(200);
    expect(await settle(tags[0]!, 'completed')).toMatchObject({
      status: 410,
      condition: 'com.microsoft:message-lock-lost',
    });
    expect(await settle(tags[0]!, 'eaten')).toMatchObject({ status: 400 });
    const runtime = await bus.admin.getQueueRuntimeProperties(queue);
    expect(runtime).toMatchObject({ activeMessageCount: 1, deadLetterMessageCount: 1 });
    const peeked = await manage(queue, 'peek-message', { 'from-sequence-number': long(1), 'message-count': int(1) });
    expect(encoded(peeked.body)[0]!.application_properties).toMatchObject({ why: 'busy' });
  });

  it('session operations: renewal, state kept and cleared; without the lock 410', async () => {
    const { queue } = await queueWith(['a'], 0, { requiresSession: true }, { sessionId: 's1' });
    const lost = await manage(queue, 'renew-session-lock', { 'session-id': 's1' });
    expect(lost).toMatchObject({ status: 410, condition: 'com.microsoft:session-lock-lost' });
    const filter = { 'com.microsoft:session-filter': 's1' };
    await client.receiver({ source: { address: queue, filter }, name: name('link') });
    const renewed = await manage(queue, 'renew-session-lock', { 'session-id': 's1' });
    expect(renewed.status).toBe(200);
    const { expiration } = renewed.body as { expiration: Date };
    expect(new Date(expiration).getTime()).toBeGreaterThan(Date.now() + 50_000);
    const state = async () => (await manage(queue, 'get-session-state', { 'session-id': 's1' })).body;
    expect(await state()).toEqual({ 'session-state': null });
    const put = { 'session-id': 's1', 'session-state': types.wrap_binary(Buffer.from('step 3')) };
    expect((await manage(queue, 'set-session-state', put)).status).toBe(200);
    expect(await state()).toEqual({ 'session-state': Buffer.from('step 3') });
    await manage(queue, 'set-session-state', { 'session-id': 's1', 'session-state': null });
    expect(await state()).toEqual({ 'session-state': null });
    expect(await manage(queue, 'get-session-state', {})).toMatchObject({ status: 400 });
  });

  it('get-message-sessions: pages of those with messages, those whose state was set since, 204 for none', async () => {
    const { queue, sender } = await bus.queue({ requiresSession: true });
    const list = (body: object) => manage(queue, 'get-message-sessions', { skip: int(0), top: int(100), ...body });
    const endOfTime = time(Date.UTC(9999, 11, 31));
    expect((await list({ 'last-updated-time': endOfTime })).status).toBe(204);
    await sender.sendMessages(['c', 'a', 'b', 'a'].map((sessionId) => ({ body: 1, sessionId })));
    const all = await list({ 'last-updated-time': endOfTime });
    expect(all).toMatchObject({ status: 200, body: { skip: 3, 'sessions-ids': ['a', 'b', 'c'] } });
    const page = await list({ 'last-updated-time': endOfTime, skip: int(1), top: int(1) });
    expect(page.body).toMatchObject({ skip: 2, 'sessions-ids': ['b'] });
    const session = await bus.client.acceptSession(queue, 'quiet');
    await session.setSessionState('x');
    await session.close();
    const updated = await list({ 'last-updated-time': time(Date.now() - 60_000) });
    expect(updated.body).toMatchObject({ 'sessions-ids': ['quiet'] });
  });

  it('rules: added as maps, listed as described lists in order of their names, removed; 409, 404, 400', async () => {
    const { topic } = await bus.subscription();
    const at = `${topic}/Subscriptions/s`;
    const sql = { 'sql-filter': { expression: 'a > 1' }, 'sql-rule-action': { expression: 'SET b = 2' } };
    const correlation = { 'correlation-filter': { label: 'l', 'correlation-id': null, properties: { p: 'x' } } };
    const add = (rule: string, description: object) =>
      manage(at, 'add-rule', { 'rule-name': rule, 'rule-description': description });
    expect((await add('b', sql)).status).toBe(200);
    expect((await add('a', correlation)).status).toBe(200);
    expect((await add('n', null as never)).status).toBe(400);
    expect(await add('A', sql)).toMatchObject({ status: 409, condition: 'com.microsoft:entity-already-exists' });
    expect(await add('c', { 'sql-filter': { expression: 'AND' } })).toMatchObject({
      status: 400,
      condition: 'com.microsoft:argument-error',
    });
    const listed = await manage(at, 'enumerate-rules', { top: int(100), skip: int(0) });
    const { rules } = listed.body as { rules: { 'rule-description': { descriptor: object; value: unknown[] } }[] };
    expect(rules).toHaveLength(3);
    const named = rules.map((rule) => rule['rule-description']);
    expect(JSON.stringify(named)).toMatch(/\$Default.*"a".*"b"/s);
    expect((await manage(at, 'enumerate-rules', { top: int(10), skip: int(3) })).status).toBe(204);
    expect((await manage(at, 'remove-rule', { 'rule-name': 'a' })).status).toBe(200);
    expect(await manage(at, 'remove-rule', { 'rule-name': 'a' })).toMatchObject({
      status: 404,
      condition: 'amqp:not-found',
    });
  });

  it('batch-delete-messages: the oldest, up to a time, not what is locked; 204 with its condition for none', async () => {
    const { queue } = await queueWith(['a', 'b', 'c', 'd'], 1);
    const drop = (count: number, at = Date.now() + 1000) =>
      manage(queue, 'batch-delete-messages', { 'message-count': int(count), 'enqueued-time-utc': time(at) });
    expect(await drop(10, Date.now() - 3_600_000)).toMatchObject({
      status: 204,
      condition: 'com.microsoft:message-not-found',
    });
    expect(await drop(2)).toMatchObject({ status: 200, body: { 'message-count': 2 } });
    expect(await drop(10)).toMatchObject({ status: 200, body: { 'message-count': 1 } });
    expect(await drop(10)).toMatchObject({ status: 204, condition: 'com.microsoft:message-not-found' });
    await eventually(async () =>
      expect(await bus.admin.getQueueRuntimeProperties(queue)).toMatchObject({ activeMessageCount: 1 }),
    );
  });

  it('batch-delete-messages in a session: its messages and no others, for who holds its lock', async () => {
    const { queue, sender } = await bus.queue({ requiresSession: true });
    const of = (sessionId: string, count: number) =>
      Array.from({ length: count }, () => ({ body: sessionId, sessionId }));
    await sender.sendMessages([...of('s1', 2), ...of('s2', 3), ...of('s1', 1)]);
    const drop = (more: object) => manage(queue, 'batch-delete-messages', { 'message-count': int(10), ...more });
    const lost = { status: 410, condition: 'com.microsoft:session-lock-lost' };
    expect(await drop({ 'session-id': 's1' })).toMatchObject(lost);
    const filter = { 'com.microsoft:session-filter': 's1' };
    await client.receiver({ source: { address: queue, filter }, name: name('link') });
    expect(await drop({ 'session-id': 's2' })).toMatchObject(lost);
    expect(await drop({})).toMatchObject({ status: 400, condition: 'amqp:not-allowed' });
    expect(await drop({ 'session-id': 's1' })).toMatchObject({ status: 200, body: { 'message-count': 3 } });
    expect(await drop({ 'session-id': 's1' })).toMatchObject({ status: 204 });
    const left = await bus.client.acceptSession(queue, 's2');
    expect((await receiveAll(left as never, 3)).map(({ body }) => body)).toEqual(['s2', 's2', 's2']);
    await left.close();
  });

  it('refuses counts that are none, and numbers that no message has, as lasting mistakes', async () => {
    const { queue } = await queueWith(['a']);
    const huge = [Buffer.from('7fffffffffffffff', 'hex'), Buffer.from('8000000000000000', 'hex')];
    for (const number of [long(-1), long(0), ...huge.map((bytes) => types.wrap_long(bytes as never))]) {
      const numbers = types.wrap_list([number]);
      for (const operation of ['cancel-scheduled-message', 'receive-by-sequence-number'])
        expect(await manage(queue, operation, { 'sequence-numbers': numbers })).toMatchObject({
          status: 404,
          condition: 'com.microsoft:message-not-found',
        });
    }
    const wrong = { status: 400, condition: 'com.microsoft:argument-error' };
    for (const count of [int(0), int(-1), types.wrap_double(1.5), types.wrap_double(Number.NaN)])
      for (const operation of ['peek-message', 'batch-delete-messages'])
        expect(await manage(queue, operation, { 'message-count': count })).toMatchObject(wrong);
    const { queue: sessions } = await bus.queue({ requiresSession: true });
    const { topic } = await bus.subscription();
    for (const page of [{ skip: int(-1) }, { top: int(-1) }, { top: types.wrap_double(0.5) }]) {
      expect(await manage(sessions, 'get-message-sessions', page)).toMatchObject(wrong);
      expect(await manage(`${topic}/Subscriptions/s`, 'enumerate-rules', page)).toMatchObject(wrong);
    }
    const far = { 'from-sequence-number': types.wrap_long(huge[0] as never), 'message-count': int(1) };
    expect((await manage(queue, 'peek-message', far)).status).toBe(204);
    expect((await bus.admin.getQueueRuntimeProperties(queue)).totalMessageCount).toBe(1);
  });

  it('answers what it does not know or cannot read, and goes on', async () => {
    const { queue } = await queueWith([]);
    expect(await manage(queue, 'make-coffee', {})).toMatchObject({ status: 501, condition: 'amqp:not-implemented' });
    expect(await client.manage(queue, '__proto__', {})).toMatchObject({ status: 501 });
    expect(await manage(queue, 'renew-lock', { 'lock-tokens': 'x' })).toMatchObject({ status: 400 });
    expect(await manage(queue, 'peek-message', { 'message-count': 'many' })).toMatchObject({ status: 400 });
    expect((await manage(queue, 'peek-message', { 'message-count': int(1) })).status).toBe(204);
  });
});
