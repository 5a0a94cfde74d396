import { describe, expect, it } from 'vitest';
import { say, text, useBrokers } from '../../test/support/broker.ts';
import { useDatabase } from '../../test/support/database.ts';

describe('rules', () => {
  const { database } = useDatabase();
  const { start, freshName } = useBrokers(database);

  it('select by SQL and correlation, copy by action, and bury what they cannot judge', async () => {
    const broker = await start();
    const topic = freshName();
    await broker.createTopic(topic);
    const sql = (expression: string) => ({ type: 'sql' as const, expression });
    await broker.createSubscription(topic, 'big', {}, [{ name: 'r', filter: sql('amount > 100') }]);
    await broker.createSubscription(topic, 'hr', {}, [
      { name: 'r', filter: { type: 'correlation', subject: 'hr', properties: { level: 3 } } },
    ]);
    await broker.createSubscription(topic, 'none', {}, []);
    await broker.createSubscription(topic, 'copies', {}, [
      { name: 'plain', filter: { type: 'true' } },
      { name: 'act', filter: sql("color = 'red'"), action: "SET sys.Label = 'red one'; SET n = n + 1; REMOVE color" },
    ]);
    await broker.createSubscription(topic, 'faulty', {}, [{ name: 'r', filter: sql('sys.Nothing = 1 AND boom = 1') }]);
    await broker.publish(topic, [
      say('1', { properties: { amount: 500, boom: 1 } }),
      say('2', { subject: 'hr', properties: { level: 3, amount: 1 } }),
      say('3', { properties: { color: 'red', n: 1 } }),
    ]);
    const received = async (name: string) => broker.receiver(`${topic}/Subscriptions/${name}`).receive({ max: 10 });
    expect((await received('big')).map(text)).toEqual(['1']);
    expect((await received('hr')).map(text)).toEqual(['2']);
    expect(await received('none')).toEqual([]);
    const copies = await received('copies');
    expect(copies.map((message) => [text(message), message.subject, message.properties])).toEqual([
      ['1', undefined, { amount: 500, boom: 1 }],
      ['2', 'hr', { level: 3, amount: 1 }],
      ['3', undefined, { color: 'red', n: 1 }],
      ['3', 'red one', { n: 2, RuleName: 'act' }],
    ]);
    expect((await broker.browse(topic)).map(text)).toEqual(['1', '2', '3']);
    await broker.addRule(topic, 'none', { name: 'late', filter: { type: 'true' } });
    await broker.removeRule(topic, 'big', 'r');
    await broker.publish(topic, [say('4', { properties: { amount: 500 } })]);
    expect((await received('none')).map(text)).toEqual(['4']);
    expect(await received('big')).toEqual([]);
    await expect(broker.addRule(topic, 'big', { name: 'x', filter: sql('a ==== 1') })).rejects.toMatchObject({
      code: 'filter_invalid',
    });
    expect(broker.subscription(topic, 'big').rules).toEqual([]);
  });

  it('take every message, whatever an action makes of its copy', async () => {
    const broker = await start();
    const topic = freshName();
    await broker.createTopic(topic);
    const actions = {
      nameless: 'SET sys.MessageId = NULL',
      past: 'SET sys.TimeToLive = -5',
      vast: 'SET sys.TimeToLive = 1e300',
      long: 'SET sys.TimeToLive = NULL',
      short: 'SET sys.TimeToLive = 90000',
    };
    for (const [name, action] of Object.entries(actions))
      await broker.createSubscription(topic, name, {}, [{ name: 'r', filter: { type: 'true' }, action }]);
    await broker.createSubscription(topic, 'plain');
    const [sent] = await broker.publish(topic, [say('1', { timeToLiveMs: 60_000 })]);
    const at = (name: string) => broker.receiver(`${topic}/Subscriptions/${name}`);
    expect((await at('plain').receive()).map(text)).toEqual(['1']);
    for (const name of ['nameless', 'past', 'vast']) {
      expect(await at(name).receive()).toEqual([]);
      const [dead] = await at(`${name}/$DeadLetterQueue`).receive({ waitMs: 10_000 });
      expect(dead).toMatchObject({ deadLetterDescription: expect.stringMatching(/^Rule r: .*(MessageId|TimeToLive)/) });
    }
    const expiries = await Promise.all(['long', 'short'].map(async (name) => (await at(name).peek())[0]!.message));
    expect(expiries.map(({ timeToLiveMs, expiresAt }) => [timeToLiveMs, expiresAt?.getTime()])).toEqual([
      [undefined, undefined],
      [90_000, sent!.enqueuedAt.getTime() + 90_000],
    ]);
  });
});
