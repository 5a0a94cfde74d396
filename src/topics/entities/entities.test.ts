// What entities do by themselves: schedule, forward, bring back, throw away, replay.
import { describe, expect, it } from 'vitest';
import { say, text, useBrokers } from '../../../test/support/broker.ts';
import { useDatabase } from '../../../test/support/database.ts';
import { eventually } from '../../../test/support/eventually.ts';
import type { Broker } from '../broker.ts';

describe('entities', () => {
  const { database } = useDatabase();
  const { start, freshName, signals } = useBrokers(database);
  const queue = async (broker: Broker, settings: object = {}, topic: object = {}) => {
    const name = freshName('queue');
    await broker.createQueue(name, { queue: settings, settings: topic });
    return name;
  };
  const later = (ms: number) => new Date(Date.now() + ms);

  it('schedule messages, cancel them by number, and hand the rest out when they are due, also after a restart', async () => {
    const broker = await start();
    const name = await queue(broker, {}, { duplicateDetection: true });
    const due = later(2_000);
    const receipts = await broker.publish(name, [
      say('now'),
      say('soon', { messageId: 'a', scheduledAt: due }),
      say('never', { scheduledAt: later(500) }),
      say('soon', { messageId: 'a' }),
    ]);
    expect(receipts.map((receipt) => receipt.duplicate)).toEqual([false, false, false, true]);
    expect(await broker.countScheduled(name)).toBe(2);
    expect((await broker.receiver(name).peek({ max: 9 })).map(({ state }) => state)).toEqual([
      'active',
      'scheduled',
      'scheduled',
    ]);
    await broker.cancelScheduled(name, [receipts[2]!.sequence]);
    await expect(broker.cancelScheduled(name, [receipts[2]!.sequence])).rejects.toMatchObject({
      code: 'message_not_found',
    });
    await broker.stop();
    const restarted = await start();
    const receiver = restarted.receiver(name);
    expect((await receiver.receive({ max: 9 })).map(text)).toEqual(['now']);
    const [soon] = await receiver.receive({ waitMs: 10_000 });
    expect(soon).toMatchObject({ messageId: 'a', sequence: 2, scheduledAt: due });
    expect(soon!.enqueuedAt.getTime()).toBeGreaterThanOrEqual(due.getTime());
    expect(await restarted.countScheduled(name)).toBe(0);
  });

  it('stay with sessions or without, and keep their messages, whoever wants to change that', async () => {
    const [broker, other] = [await start(), await start()];
    const name = await queue(broker, { requiresSession: true });
    await broker.publish(name, [say('1', { sessionId: 'a' })]);
    const change = { settings: { userMetadata: 'x' }, queue: { requiresSession: false, maxDeliveryCount: 2 } };
    await eventually(async () => {
      await other.refresh();
      await expect(other.updateQueue(name, change)).rejects.toMatchObject({ code: 'conflict' });
    });
    await expect(broker.updateQueue(name, change)).rejects.toThrow(/requiresSession of "queue.*" is true/);
    expect(broker.topic(name).settings.userMetadata).toBe('');
    await broker.updateQueue(name, { queue: { requiresSession: true, maxDeliveryCount: 2 } });
    const session = await broker.acceptSession(name, { waitMs: 5_000 });
    expect((await session!.receive()).map(text)).toEqual(['1']);
    const topic = freshName();
    await broker.createTopic(topic, { partitions: 2 });
    await broker.createSubscription(topic, 's');
    const toSessions = broker.updateSubscription(topic, 's', { requiresSession: true });
    await expect(toSessions).rejects.toMatchObject({ code: 'conflict', details: { setting: 'requiresSession' } });
    await expect(broker.ensureSubscription(topic, 's', { requiresSession: true })).rejects.toThrow(/make another/);
    await expect(broker.updateTopic(topic, { partitions: 3 })).rejects.toThrow(/partitions of .* is 2/);
    expect((await broker.updateTopic(topic, { partitions: 2, settings: { userMetadata: 'y' } })).partitions).toBe(2);
  });

  it('detect duplicates or not as they are told at any time; what came while they did not is not remembered', async () => {
    const broker = await start();
    const name = await queue(broker);
    const send = async (messageId: string) =>
      (await broker.publish(name, [say(messageId, { messageId })]))[0]!.duplicate;
    const detect = (duplicateDetection: boolean) => broker.updateQueue(name, { settings: { duplicateDetection } });
    expect([await send('a'), await send('a')]).toEqual([false, false]);
    await detect(true);
    expect([await send('a'), await send('a')]).toEqual([false, true]);
    await detect(false);
    expect([await send('a'), await send('b')]).toEqual([false, false]);
    await detect(true);
    expect([await send('a'), await send('b')]).toEqual([true, false]);
    expect((await broker.receiver(name).receive({ max: 9 })).map(text)).toEqual(['a', 'a', 'a', 'a', 'b', 'b']);
  });

  it('forward messages and dead letters, each once', async () => {
    const broker = await start();
    const target = await queue(broker);
    const graves = await queue(broker);
    const topic = freshName();
    await broker.createTopic(topic);
    await broker.createSubscription(topic, 'on', { forwardTo: target });
    await broker.createSubscription(topic, 'die', { forwardDeadLettersTo: graves });
    await broker.publish(topic, [say('1', { properties: { a: 1 } }), say('2')]);
    const receiver = broker.receiver(target);
    const got = await receiver.receive({ max: 2, waitMs: 5000 });
    while (got.length < 2) got.push(...(await receiver.receive({ max: 2, waitMs: 5000 })));
    expect(got.map((message) => [text(message), message.hops, message.originalSequence])).toEqual([
      ['1', 1, 1],
      ['2', 1, 2],
    ]);
    await eventually(async () => expect(await broker.counts(topic, 'on')).toMatchObject({ active: 0 }));
    expect(() => broker.receiver(`${topic}/Subscriptions/on`)).not.toThrow();
    await expect(broker.receiver(`${topic}/Subscriptions/on`).receive()).rejects.toMatchObject({ code: 'conflict' });
    const dying = broker.receiver(`${topic}/Subscriptions/die`);
    await dying.deadLetter(await dying.receive({ max: 2 }), { reason: 'no' });
    const [dead] = await broker.receiver(graves).receive({ waitMs: 5000 });
    expect(dead).toMatchObject({ properties: { a: 1, DeadLetterReason: 'no' } });
    await expect(broker.createSubscription(topic, 'x', { forwardTo: 'nowhere' })).rejects.toMatchObject({
      code: 'topic_not_found',
    });
  });

  it('stop a message that goes round in circles, and keep what cannot be forwarded', async () => {
    const broker = await start();
    const a = await queue(broker);
    const b = await queue(broker, { forwardTo: a });
    await broker.updateQueue(a, { queue: { forwardTo: b } });
    await broker.publish(a, [say('round')]);
    const all = async () => (await broker.counts(a)).deadLettered + (await broker.counts(b)).deadLettered;
    await eventually(async () => expect(await all()).toBe(1));
    await broker.updateQueue(b, { queue: { forwardTo: null } });
    await broker.deleteTopic(b);
    await broker.publish(a, [say('lost')]);
    await eventually(async () => expect(await broker.counts(a)).toMatchObject({ transferDeadLettered: 1, active: 0 }));
    const [kept] = await broker.receiver(`${a}/$Transfer/$DeadLetterQueue`).receive();
    expect(kept).toMatchObject({ deadLetterReason: 'ForwardingFailed' });
  });

  it('keep what is to be forwarded while its destination is closed, and say so once', async () => {
    const broker = await start();
    const to = await queue(broker);
    const from = await queue(broker, { forwardTo: to });
    await broker.updateTopic(to, { settings: { status: 'sendDisabled' } });
    await broker.publish(from, [say('patient')]);
    const told = () => signals.filter(({ name }) => name === 'topics.forward_waits' || name === 'topics.task_failed');
    await eventually(() => expect(told()).not.toHaveLength(0));
    await broker.publish(from, [say('second')]);
    await broker.updateTopic(to, { settings: { status: 'active' } });
    const receiver = broker.receiver(to);
    const got: string[] = [];
    while (got.length < 2) got.push(...(await receiver.receive({ max: 2, waitMs: 20_000 })).map(text));
    expect(got).toEqual(['patient', 'second']);
    const cause = `"${to}" does not accept messages now.`;
    expect(told()).toMatchObject([{ name: 'topics.forward_waits', topic: from, to, cause }]);
  });

  it('bring dead letters back: one, by cause, all', async () => {
    const broker = await start();
    const name = await queue(broker);
    await broker.publish(
      name,
      Array.from({ length: 1203 }, (_, i) => say(`${i + 1}`)),
    );
    const receiver = broker.receiver(name);
    for (let left = 1203; left > 0; ) {
      const messages = await receiver.receive({ max: 600 });
      const by = (even: boolean) => messages.filter((message) => (message.sequence % 2 === 0) === even);
      await receiver.deadLetter(by(true), { reason: 'even' });
      await receiver.deadLetter(by(false), { reason: 'odd' });
      left -= messages.length;
    }
    expect(await broker.deadCauses(name)).toMatchObject([
      { reason: 'odd', count: 602 },
      { reason: 'even', count: 601 },
    ]);
    expect(await broker.redrive(name, { sequences: [5] })).toBe(1);
    const [five] = await receiver.receive({ waitMs: 1000 });
    expect(five).toMatchObject({ sequence: 5, deliveryCount: 0, deadLetterReason: undefined });
    await receiver.complete(five!);
    const steps: number[] = [];
    expect(await broker.redrive(name, { reason: 'even' }, (moved) => steps.push(moved))).toBe(601);
    expect(steps).toEqual([500, 601]);
    expect(await broker.counts(name)).toMatchObject({ active: 601, deadLettered: 601 });
    await broker.stop();
    const restarted = await start();
    expect(await restarted.redrive(name)).toBe(601);
    const again = restarted.receiver(name);
    const seen: number[] = [];
    while (seen.length < 1202) {
      const messages = await again.receive({ max: 500, waitMs: 1000 });
      expect(messages.length).toBeGreaterThan(0);
      await again.complete(messages);
      seen.push(...messages.map((message) => message.sequence));
    }
    expect(new Set(seen).size).toBe(1202);
    expect(await restarted.counts(name)).toMatchObject({ active: 0, deadLettered: 0 });
  });

  it('throw away what waits, but not what is locked', async () => {
    const broker = await start();
    const name = await queue(broker);
    await broker.publish(
      name,
      ['1', '2', '3', '4', '5', '6'].map((words) => say(words)),
    );
    const receiver = broker.receiver(name);
    const [one, two, three] = await receiver.receive({ max: 3 });
    await receiver.deadLetter(one!);
    await receiver.defer(two!);
    expect(await broker.purge(name)).toBe(4);
    expect(await broker.counts(name)).toMatchObject({ active: 1, locked: 1, deferred: 0, deadLettered: 1 });
    // A dead letter that is deferred is none of the living.
    const dead = broker.receiver(`${name}/$DeadLetterQueue`);
    const [corpse] = await dead.receive();
    await dead.defer(corpse!);
    await broker.publish(name, [say('8')]);
    expect(await broker.purge(name)).toBe(1);
    expect(await broker.counts(name)).toMatchObject({ active: 1, deferred: 1, deadLettered: 0 });
    await dead.complete(await dead.receiveDeferred([corpse!.sequence]));
    await receiver.deadLetter(three!);
    expect(await broker.purge(`${name}/$DeadLetterQueue`)).toBe(1);
    await broker.publish(name, [say('7')]);
    await broker.stop();
    const restarted = await start();
    expect(await restarted.counts(name)).toMatchObject({ active: 1, deferred: 0, deadLettered: 0 });
    expect((await restarted.receiver(name).receive({ max: 5 })).map(text)).toEqual(['7']);
  });

  it('replay: a new subscription from the oldest by its own rules, an old one from a number or a time', async () => {
    const broker = await start();
    const topic = freshName();
    await broker.createTopic(topic);
    await broker.createSubscription(topic, 'old');
    await broker.publish(topic, [say('1', { properties: { n: 1 } }), say('2', { properties: { n: 2 } })]);
    const middle = new Date();
    await broker.publish(topic, [say('3', { properties: { n: 3 } })]);
    const drain = async (name: string) => {
      const receiver = broker.receiver(`${topic}/Subscriptions/${name}`, { mode: 'receiveAndDelete' });
      const got: string[] = [];
      for (;;) {
        const messages = await receiver.receive({ max: 10 });
        if (messages.length === 0) return got;
        got.push(...messages.map(text));
      }
    };
    expect(await drain('old')).toEqual(['1', '2', '3']);
    const odd = { name: 'r', filter: { type: 'sql' as const, expression: 'n % 2 = 1' } };
    await broker.createSubscription(topic, 'new', {}, [odd], 'oldest');
    await broker.publish(topic, [say('4', { properties: { n: 4 } }), say('5', { properties: { n: 5 } })]);
    expect(await drain('new')).toEqual(['1', '3', '5']);
    expect(await drain('old')).toEqual(['4', '5']);
    await broker.replay(`${topic}/Subscriptions/old`, { sequence: 4 });
    expect(await drain('old')).toEqual(['4', '5']);
    await broker.replay(`${topic}/Subscriptions/old`, { time: middle });
    expect(await drain('old')).toEqual(['3', '4', '5']);
    await broker.replay(`${topic}/Subscriptions/new`, 'oldest');
    expect(await broker.counts(topic, 'new')).toMatchObject({ active: expect.any(Number) });
    expect(await drain('new')).toEqual(['1', '3', '5']);
    expect(await broker.counts(topic, 'new')).toMatchObject({ active: 0 });
  });

  it('replay through rules with actions: as they change the message, and once', async () => {
    const broker = await start();
    const topic = freshName();
    await broker.createTopic(topic);
    await broker.publish(topic, [say('1', { properties: { n: 1 } }), say('2', { properties: { n: 20 } })]);
    const small = { name: 'a', filter: { type: 'sql' as const, expression: 'n < 10' }, action: "SET size = 'small'" };
    const all = { name: 'b', filter: { type: 'true' as const }, action: "SET sys.To = 'b'" };
    await broker.createSubscription(topic, 'late', {}, [small, all], 'oldest');
    const path = `${topic}/Subscriptions/late`;
    const peeked = await broker.receiver(path).peek({ max: 5 });
    const got = await broker.receiver(path).receive({ max: 5 });
    for (const messages of [peeked.map(({ message }) => message), got]) {
      const found = messages.map((message) => [text(message), message.to, message.properties]);
      expect(found).toEqual([
        ['1', undefined, { n: 1, size: 'small', RuleName: 'a' }],
        ['2', 'b', { n: 20, RuleName: 'b' }],
      ]);
    }
    await broker.receiver(path).complete(got);
    expect(await broker.counts(topic, 'late')).toMatchObject({ active: 0 });
  });

  it('refuse senders while a topic holds more than its quota', async () => {
    const broker = await start('one', { housekeeping: { everyMs: 3_600_000 } });
    const name = await queue(broker, {}, { maxSizeBytes: 5_000 });
    // At once, not when it is measured the next time; and let in again soon after there is room.
    await broker.publish(name, [say('x'.repeat(6_000))]);
    const full = { code: 'quota_exceeded' };
    await expect(broker.publish(name, [say('y')])).rejects.toMatchObject(full);
    await expect(broker.transact([{ topic: name, messages: [say('y')] }], [])).rejects.toMatchObject(full);
    await broker.receiver(name, { mode: 'receiveAndDelete' }).receive();
    await eventually(() => broker.publish(name, [say('y')]));
    await broker.publish(name, [say('x'.repeat(6_000))]);
    await using other = await start('two', { housekeeping: { everyMs: 3_600_000 } });
    await expect(other.publish(name, [say('y')])).rejects.toMatchObject(full);
  });

  it('stay usable with 20,000 correlation filters and 2,000 SQL filters on one topic', async () => {
    const broker = await start();
    const topic = freshName();
    await broker.createTopic(topic);
    const correlation = Array.from({ length: 20_000 }, (_, i) => ({
      name: `c${i}`,
      filter: { type: 'correlation' as const, subject: `s${i}`, properties: { level: i % 10 } },
    }));
    const sql = Array.from({ length: 2_000 }, (_, i) => ({
      name: `q${i}`,
      filter: { type: 'sql' as const, expression: `kind = 'k${i}' AND n > ${i}` },
    }));
    await broker.createSubscription(topic, 'many', {}, correlation);
    await broker.createSubscription(topic, 'sql', {}, sql);
    const messages = Array.from({ length: 2_000 }, (_, i) =>
      say(`${i}`, { subject: `s${i}`, properties: { level: i % 20, kind: `k${i}`, n: i * 2 } }),
    );
    const started = performance.now();
    for (let i = 0; i < messages.length; i += 200) await broker.publish(topic, messages.slice(i, i + 200));
    // Evaluating every filter on every message would take minutes.
    expect(performance.now() - started).toBeLessThan(5_000);
    expect(await broker.counts(topic, 'many')).toMatchObject({ active: 1_000 });
    expect(await broker.counts(topic, 'sql')).toMatchObject({ active: 1_999 });
    await broker.addRule(topic, 'many', { name: 'one-more', filter: { type: 'correlation', to: 'x' } });
  });

  it('take rules by the thousand, and read again only those that changed', async () => {
    const link = { link: { host: '127.0.0.1', port: 0 } };
    const [one, two] = [await start('one', link), await start('two', link)];
    const topic = freshName();
    await one.createTopic(topic);
    await one.createSubscription(topic, 's', {}, []);
    const rules = Array.from({ length: 5_000 }, (_, i) => ({
      name: `r${i}`,
      filter: { type: 'correlation' as const, subject: `${i}` },
    }));
    const steps: number[] = [];
    expect(await one.addRules(topic, 's', rules, (added) => steps.push(added))).toBe(5_000);
    expect(steps).toEqual([2_000, 4_000, 5_000]);
    const twice = [{ name: 'new', filter: { type: 'true' as const } }, rules[3]!];
    await expect(one.addRules(topic, 's', twice)).rejects.toMatchObject({ code: 'already_exists' });
    const bad = [{ name: 'bad', filter: { type: 'sql' as const, expression: 'a =' } }];
    await expect(one.addRules(topic, 's', bad)).rejects.toMatchObject({ code: 'filter_invalid' });
    expect(one.subscription(topic, 's').rules).toHaveLength(5_000);
    const publish = async (broker: Broker, subject: string) => {
      const before = (await one.counts(topic, 's')).active;
      await broker.publish(topic, [say('x', { subject })]);
      await eventually(async () => expect((await one.counts(topic, 's')).active).toBeGreaterThanOrEqual(before));
      return (await one.counts(topic, 's')).active - before;
    };
    await eventually(() => expect(two.subscription(topic, 's').rules).toHaveLength(5_000));
    // The other node learns of each change when it publishes: it reads what is new, and everything after a removal.
    await one.addRule(topic, 's', { name: 'a-later-one', filter: { type: 'correlation', subject: 'later' } });
    await publish(two, 'later');
    expect(two.subscription(topic, 's').rules).toEqual(one.subscription(topic, 's').rules);
    await one.removeRule(topic, 's', 'r7');
    await one.addRule(topic, 's', { name: 'r7', filter: { type: 'correlation', subject: 'seven' } });
    await publish(two, '7');
    await one.addRule(topic, 's', { name: 'last', filter: { type: 'correlation', subject: 'last' } });
    await publish(two, 'last');
    expect(two.subscription(topic, 's').rules).toEqual(one.subscription(topic, 's').rules);
    expect(one.subscription(topic, 's').rules).toHaveLength(5_002);
    const all = await one.receiver(`${topic}/Subscriptions/s`).receive({ max: 9, waitMs: 5_000 });
    while (all.length < 2) all.push(...(await one.receiver(`${topic}/Subscriptions/s`).receive({ waitMs: 5_000 })));
    expect(all.map((message) => message.subject)).toEqual(['later', 'last']);
  });
});
