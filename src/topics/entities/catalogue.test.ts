// What a node reads of a change that it, or another node, has made.
import { describe, expect, it } from 'vitest';
import { useBrokers } from '../../../test/support/broker.ts';
import { useDatabase } from '../../../test/support/database.ts';
import { diceOf, seedOfRun } from '../../../test/support/random.ts';
import type { Sql } from '../../kit/database.ts';
import type { Broker } from '../broker.ts';
import { Catalogue } from './catalogue.ts';
import type { Rule } from './rule.ts';

describe('the catalogue', () => {
  const { database } = useDatabase();
  const { start, freshName } = useBrokers(database);
  let rows = 0;
  const counted: Sql = {
    query: async <R>(...given: Parameters<Sql['query']>) => {
      const read = await database.query<R>(...given);
      rows += read.length;
      return read;
    },
  };
  /** How many rows it reads to be up to date. */
  const refresh = async (catalogue: Catalogue) => {
    rows = 0;
    await catalogue.refreshAll();
    return rows;
  };
  const rule = (name: string): Rule => ({ name, filter: { type: 'correlation', subject: name } });
  const many = (count: number, prefix: string) => Array.from({ length: count }, (_, i) => `${prefix}${i}`);

  it('reads only the subscription or the rule that changed, and keeps the objects of the others', async () => {
    const broker = await start();
    const topic = freshName();
    await broker.createTopic(topic);
    for (const name of many(30, 's')) await broker.createSubscription(topic, name);
    await broker.addRules(topic, 's0', many(300, 'r').map(rule));
    const catalogue = await Catalogue.load(counted);
    const before = catalogue.topic(topic);
    const changes: Record<string, () => Promise<unknown>> = {
      make: () => broker.createSubscription(topic, 'more'),
      change: () => broker.updateSubscription(topic, 's1', { maxDeliveryCount: 3 }),
      both: () => broker.updateSubscription(topic, 's1', { maxDeliveryCount: 4 }, [rule('other')]),
      add: () => broker.addRule(topic, 's0', rule('more')),
      remove: () => broker.removeRule(topic, 's0', 'r7'),
      delete: () => broker.deleteSubscription(topic, 's2'),
      settings: () => broker.updateTopic(topic, { settings: { defaultTimeToLiveMs: 60_000 } }),
    };
    for (const [what, change] of Object.entries(changes)) {
      await change();
      expect([what, await refresh(catalogue)]).toEqual([what, expect.toSatisfy((count: number) => count <= 6)]);
      expect(catalogue.topic(topic)).toEqual((await Catalogue.load(database)).topic(topic));
    }
    const after = catalogue.topic(topic);
    expect(after.subscriptions.find(({ name }) => name === 's9')).toBe(before.subscriptions[9]);
    const rulesOf = (entry: typeof after) => new Map(entry.subscriptions[0]!.rules.map((each) => [each.name, each]));
    expect(rulesOf(after).size).toBe(301);
    expect(rulesOf(after).get('r8')).toBe(rulesOf(before).get('r8'));
  });

  it('finds whatever changed, however far it is behind, and when nobody wrote down what it was', async () => {
    const broker = await start();
    const seed = seedOfRun();
    const random = diceOf(seed);
    const topic = freshName();
    await broker.createTopic(topic);
    const catalogue = await Catalogue.load(database);
    for (let round = 0; round < 40; round++) {
      const changes = 1 + Math.floor(random() * 4);
      for (let i = 0; i < changes; i++) await changeSomething(broker, topic, random);
      if (round % 10 === 9)
        await database.query('delete from topic_change where version < (select max(version) from topic_change)');
      await catalogue.refreshAll();
      expect({ seed, ...catalogue.topic(topic) }).toEqual({ seed, ...(await Catalogue.load(database)).topic(topic) });
    }
  });

  async function changeSomething(broker: Broker, topic: string, random: () => number): Promise<void> {
    const { subscriptions } = broker.topic(topic);
    const one = subscriptions[Math.floor(random() * subscriptions.length)];
    const name = `n${Math.floor(random() * 1e9)}`;
    const kind = Math.floor(random() * 8);
    if (!one || kind === 0) await broker.createSubscription(topic, name, {}, many(3, name).map(rule));
    else if (kind === 1) await broker.deleteSubscription(topic, one.name);
    else if (kind === 2)
      await broker.updateSubscription(topic, one.name, { maxDeliveryCount: 1 + Math.round(random() * 50) });
    else if (kind === 3) await broker.addRules(topic, one.name, many(4, name).map(rule));
    else if (kind === 4 && one.rules.length > 0) await replaceOne(broker, topic, one.name, one.rules[0]!.name);
    else if (kind === 5 && one.rules.length > 0) await broker.removeRule(topic, one.name, one.rules[0]!.name);
    else if (kind === 6) await broker.replaceRules(topic, one.name, [...one.rules.slice(1), rule(name)]);
    else await broker.replay(`${topic}/Subscriptions/${one.name}`, 'oldest');
  }

  /** The same name, another filter. */
  async function replaceOne(broker: Broker, topic: string, subscription: string, name: string): Promise<void> {
    await broker.removeRule(topic, subscription, name);
    await broker.addRule(topic, subscription, { name, filter: { type: 'true' } });
  }
});
