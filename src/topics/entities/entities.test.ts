// What entities do by themselves: schedule, forward, bring back, throw away, replay, clean up.
import { describe, expect, it } from 'vitest';
import { say, text, useBrokers } from '../../../test/support/broker.ts';
import { useDatabase } from '../../../test/support/database.ts';
import { eventually } from '../../../test/support/eventually.ts';
import type { Broker } from '../broker.ts';
import { truncateIds } from '../housekeeping.ts';

describe('entities', () => {
  const { database } = useDatabase();
  const { start, freshName } = useBrokers(database);
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
    await broker.updateSubscription(a, '$queue', { forwardTo: b });
    await broker.publish(a, [say('round')]);
    const all = async () => (await broker.counts(a)).deadLettered + (await broker.counts(b)).deadLettered;
    await eventually(async () => expect(await all()).toBe(1));
    await broker.updateSubscription(b, '$queue', { forwardTo: null });
    await broker.deleteTopic(b);
    await broker.publish(a, [say('lost')]);
    await eventually(async () => expect(await broker.counts(a)).toMatchObject({ transferDeadLettered: 1, active: 0 }));
    const [kept] = await broker.receiver(`${a}/$Transfer/$DeadLetterQueue`).receive();
    expect(kept).toMatchObject({ deadLetterReason: 'ForwardingFailed' });
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

  it('close and drop generations of the log without a gap or a loss', async () => {
    const broker = await start('one', { housekeeping: { everyMs: 3_600_000, generationBytes: 1 } });
    const name = await queue(broker, {}, { retentionMs: 0 });
    const others = broker.listTopics({ limit: 1000 }).items.filter((entry) => entry.name !== name);
    for (const entry of others) await broker.deleteTopic(entry.name);
    const receiver = broker.receiver(name, { mode: 'receiveAndDelete' });
    const got: number[] = [];
    for (let round = 0; round < 4; round++) {
      await broker.publish(name, [say('a'), say('b'), say('c')]);
      await broker.housekeeper.round();
      // One message always stays behind, so that the generation that holds it is needed.
      got.push(...(await receiver.receive({ max: round === 0 ? 2 : 3 })).map((message) => message.sequence));
    }
    const generations = async () => (await database.query('select gen from generation')).length;
    expect(await generations()).toBeGreaterThanOrEqual(2);
    while (got.length < 12) got.push(...(await receiver.receive({ max: 12, waitMs: 1000 })).map((m) => m.sequence));
    await broker.housekeeper.round();
    await broker.housekeeper.round();
    expect(await generations()).toBe(1);
    expect(await broker.browse(name)).toEqual([]);
    const [receipt] = await broker.publish(name, [say('next')]);
    expect(receipt!.sequence).toBe(13);
    expect(got).toEqual(Array.from({ length: 12 }, (_, i) => i + 1));
    await broker.stop();
    expect((await (await start()).receiver(name).receive()).map(text)).toEqual(['next']);
  });

  it('let a generation go that only stragglers keep, and lose none of them', async () => {
    const broker = await start('one', { housekeeping: { everyMs: 3_600_000, generationBytes: 1 } });
    for (const entry of broker.listTopics({ limit: 1000 }).items) await broker.deleteTopic(entry.name);
    const topic = freshName();
    await broker.createTopic(topic, { settings: { retentionMs: 0 } });
    for (const name of ['slow', 'sessions', 'quick']) {
      await broker.createSubscription(topic, name, { requiresSession: name === 'sessions', maxDeliveryCount: 9 });
    }
    const round = async (from: number, count: number) => {
      await broker.publish(
        topic,
        Array.from({ length: count }, (_, i) => say(`${from + i}`, { sessionId: `s${(from + i) % 3}` })),
      );
      const quick = broker.receiver(`${topic}/Subscriptions/quick`, { mode: 'receiveAndDelete' });
      for (let left = count; left > 0; ) left -= (await quick.receive({ max: left, waitMs: 1_000 })).length;
      await broker.housekeeper.round();
    };
    await round(1, 9);
    const slow = broker.receiver(`${topic}/Subscriptions/slow`);
    const [one, two, three] = await slow.receive({ max: 3 });
    await slow.abandon(two!);
    await slow.complete(three!);
    const held = (await broker.acceptSession(`${topic}/Subscriptions/sessions`, { id: 's1' }))!;
    const firsts = await held.receive({ max: 1 });
    await round(10, 3);
    await slow.release(one!);
    await held.complete(firsts);
    await held.close();
    for (let n = 0; n < 4; n++) await broker.housekeeper.round();
    const [{ gen }] = (await database.query<{ gen: number }>('select min(gen) as gen from generation')) as [
      { gen: number },
    ];
    expect(gen, 'the generation of the first nine').toBeGreaterThan(1);
    expect((await broker.browse(topic))[0]?.sequence ?? 10).toBeGreaterThan(9);
    expect(await broker.counts(topic, 'slow')).toMatchObject({ active: 11, locked: 0 });
    expect(await broker.counts(topic, 'sessions')).toMatchObject({ active: 11 });
    await broker.stop();
    const restarted = await start();
    const got = await restarted.receiver(`${topic}/Subscriptions/slow`).receive({ max: 50, waitMs: 2_000 });
    while (got.length < 11)
      got.push(...(await restarted.receiver(`${topic}/Subscriptions/slow`).receive({ max: 50, waitMs: 5_000 })));
    expect(got.map((message) => [Number(text(message)), message.deliveryCount])).toEqual(
      [1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12].map((n) => [n, n === 2 ? 1 : 0]),
    );
    for (const [id, numbers] of [
      ['s0', [3, 6, 9, 12]],
      ['s1', [4, 7, 10]],
      ['s2', [2, 5, 8, 11]],
    ] as const) {
      const session = (await restarted.acceptSession(`${topic}/Subscriptions/sessions`, { id }))!;
      const its: string[] = [];
      while (its.length < numbers.length) its.push(...(await session.receive({ max: 9, waitMs: 5_000 })).map(text));
      expect(its.map(Number), id).toEqual(numbers);
    }
  });

  it('change the slot of the progress table and lose nothing', async () => {
    const broker = await start('one', { housekeeping: { everyMs: 3_600_000, progressBytes: 1 } });
    const name = await queue(broker);
    const idle = await queue(broker);
    await broker.publish(idle, [say('1'), say('2')]);
    await broker.publish(
      name,
      Array.from({ length: 30 }, (_, i) => say(`${i + 1}`)),
    );
    const receiver = broker.receiver(name);
    const messages = await receiver.receive({ max: 30 });
    await receiver.complete(messages.filter((message) => message.sequence % 3 !== 0));
    await broker.receiver(idle, { mode: 'receiveAndDelete' }).receive();
    const slot = async () => (await database.query<{ slot: number }>('select slot from progress_slot'))[0]!.slot;
    const before = await slot();
    await broker.housekeeper.round();
    expect(await slot()).toBe(1 - before);
    const inNew = async () => (await database.query(`select 1 from progress_${1 - before} where kind = 1`)).length;
    await eventually(async () => expect(await inNew()).toBeGreaterThan(0));
    await receiver.complete(messages[2]!);
    await database.query("update progress_slot set switched_at = now() - interval '1 minute'");
    await broker.housekeeper.round();
    expect(await database.query(`select 1 from progress_${before}`)).toEqual([]);
    await broker.stop();
    const restarted = await start();
    expect(await restarted.counts(name)).toMatchObject({ active: 9 });
    expect(await restarted.counts(idle)).toMatchObject({ active: 1 });
    const rest = await restarted.receiver(name).receive({ max: 30 });
    expect(rest.map((message) => message.sequence)).toEqual([6, 9, 12, 15, 18, 21, 24, 27, 30]);
  });

  it('forget old ids by truncating, never those that still count', async () => {
    const broker = await start();
    const name = await queue(broker, {}, { duplicateDetection: true });
    await broker.publish(name, [say('x', { messageId: 'same' })]);
    const minutes = 60_000;
    const slice = 10 * minutes;
    const sliceStart = Math.floor(Date.now() / slice) * slice;
    await database.transaction((tx) => truncateIds(tx, sliceStart + minutes));
    await database.transaction((tx) => truncateIds(tx, sliceStart + slice + minutes));
    const ids = async () =>
      (await database.query('select 1 from dedup d join topic t on t.id = d.topic where t.name = $1', [name])).length;
    expect(await ids()).toBe(1);
    await database.transaction((tx) => truncateIds(tx, sliceStart + 2 * slice + minutes));
    expect(await ids()).toBe(0);
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

  it('delete themselves when nobody uses them', async () => {
    const broker = await start('one', { housekeeping: { everyMs: 3_600_000 } });
    const idle = await queue(broker, {}, { autoDeleteOnIdleMs: 300_000 });
    const used = await queue(broker, {}, { autoDeleteOnIdleMs: 300_000 });
    await database.query("update topic set used_at = now() - interval '10 minutes' where name = any($1)", [
      [idle, used],
    ]);
    await broker.publish(used, [say('x')]);
    await broker.housekeeper.round();
    expect(() => broker.topic(idle)).toThrow(/no topic/);
    expect(broker.topic(used).name).toBe(used);
  });
});
