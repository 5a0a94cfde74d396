import { expect, it, onTestFinished } from 'vitest';
import { useDatabase } from '../../../../test/support/database.ts';
import { eventually } from '../../../../test/support/eventually.ts';
import { Claims } from './claims.ts';
import { Epochs } from './epochs.ts';

const db = useDatabase();
const stolen = expect.objectContaining({ details: { condition: 'amqp:link:stolen' } });

/** The readers of a node, whose lease is good for so long. */
async function node(id: string, leaseSeconds = 10) {
  const { database } = db;
  await database.query(
    `insert into node (id, lease_until) values ($1, now() + $2 * interval '1 second')
     on conflict (id) do update set lease_until = excluded.lease_until`,
    [id, leaseSeconds],
  );
  const failed = (error: unknown) => {
    throw error;
  };
  const claims = new Claims(database, id);
  const epochs = new Epochs({ claims, alone: () => true, failed });
  onTestFinished(() => epochs.stop());
  const ended: string[] = [];
  const enter = (topic: number, name: string, epoch?: number, group = 'g') =>
    epochs.enter({ topic, part: 0, group }, epoch, ({ message }) => ended.push(`${name}: ${message}`));
  return { claims, epochs, enter, ended };
}

let topics = 0;
async function topic(): Promise<number> {
  const [row] = await db.database.query<{ id: number }>(
    `insert into topic (name, kind, partitions, settings, created_at, updated_at, used_at)
     values ($1, 'topic', 1, '{}', now(), now(), now()) returning id`,
    [`hub-${++topics}`],
  );
  return row!.id;
}

const by = (epoch: number) => `New receiver with the epoch '${epoch}' was created, so the current one is disconnected.`;

it('gives a partition to the reader of the highest level, and to the latest of these', async () => {
  const { enter, ended } = await node('one');
  const here = await topic();
  await enter(here, 'plain');
  await enter(here, 'second plain');
  await enter(here, 'elsewhere', undefined, 'q');
  await enter(here, 'one', 1);
  expect(ended).toEqual([`plain: ${by(1)}`, `second plain: ${by(1)}`]);
  await expect(enter(here, 'late')).rejects.toEqual(stolen);
  await expect(enter(here, 'zero', 0)).rejects.toEqual(stolen);
  const leave = await enter(here, 'another one', 1);
  expect(ended.slice(2)).toEqual([`one: ${by(1)}`]);
  leave();
  await enter(here, 'zero', 0);
  await enter(here, 'q', undefined, 'q');
  expect(ended.slice(3)).toEqual([]);
});

it('holds between nodes as on one', async () => {
  const [one, two] = [await node('one'), await node('two')];
  const here = await topic();
  await one.enter(here, 'plain');
  await two.enter(here, 'five', 5);
  await one.epochs.look();
  expect(one.ended).toEqual([`plain: ${by(5)}`]);
  await expect(one.enter(here, 'late')).rejects.toEqual(stolen);
  await expect(one.enter(here, 'four', 4)).rejects.toThrow("Receiver with a higher epoch '5' already exists.");
  await one.enter(here, 'other group', undefined, 'h');
  await one.enter(here, 'five too', 5);
  await two.epochs.look();
  await one.epochs.look();
  expect([one.ended.slice(1), two.ended]).toEqual([[], [`five: ${by(5)}`]]);
  const leave = await two.enter(here, 'six', 6);
  await one.epochs.look();
  expect(one.ended.slice(1)).toEqual([`five too: ${by(6)}`]);
  leave();
  await two.enter(here, 'plain at last'); // after the row is gone, since the writes of a place go in turn
  await one.enter(here, 'one', 1);
});

it('does not count what a dead node has claimed, nor what an earlier run of a node has', async () => {
  const [one, two] = [await node('one'), await node('two')];
  const here = await topic();
  await two.enter(here, 'nine', 9);
  await expect(one.enter(here, 'one', 1)).rejects.toEqual(stolen);
  const back = new Claims(db.database, 'two');
  await back.dropAll();
  await one.enter(here, 'one', 1);
  await two.enter(here, 'ten', 10);
  await node('two', -1);
  await one.enter(here, 'one again', 1);
  await one.epochs.look();
  expect(one.ended).toEqual([`one: ${by(1)}`]);
});

it('leaves alone who came while it looked', async () => {
  const [one, two] = [await node('one'), await node('two')];
  const here = await topic();
  await one.enter(here, 'plain');
  await two.enter(here, 'three', 3);
  const elsewhere = one.claims.elsewhere.bind(one.claims);
  one.claims.elsewhere = async (places) => {
    const seen = await elsewhere(places);
    await one.enter(here, 'three too', 3);
    return seen;
  };
  await one.epochs.look();
  await two.epochs.look();
  expect([one.ended, two.ended]).toEqual([[`plain: ${by(3)}`], [`three: ${by(3)}`]]);
});

it('gives a place back to the higher level when its node was only taken for dead', async () => {
  const [one, two] = [await node('one'), await node('two')];
  const here = await topic();
  await one.enter(here, 'five', 5);
  await node('one', -1);
  await two.enter(here, 'one', 1);
  await node('one');
  await one.epochs.look();
  await two.epochs.look();
  expect([one.ended, two.ended]).toEqual([[], [`one: ${by(5)}`]]);
});

it('lets go of a place that was left while the database was away', async () => {
  const [one, two] = [await node('one'), await node('two')];
  const here = await topic();
  const leave = await one.enter(here, 'five', 5);
  const drop = one.claims.drop.bind(one.claims);
  const outage = Object.assign(new Error('The connection was lost.'), { code: 'ECONNRESET' });
  one.claims.drop = () => {
    one.claims.drop = drop;
    return Promise.reject(outage);
  };
  leave();
  await eventually(() => two.enter(here, 'plain'), 5_000); // the node's lease, after which nothing counts, is longer
});

it('of many that come at once to two nodes one stays', async () => {
  const [one, two] = [await node('one'), await node('two')];
  const here = await topic();
  const coming = Array.from({ length: 40 }, (_, i) => (i % 2 ? one : two).enter(here, String(i), i % 5));
  const came = (await Promise.allSettled(coming)).filter(({ status }) => status === 'fulfilled').length;
  await one.epochs.look();
  await two.epochs.look();
  expect(came - one.ended.length - two.ended.length).toBe(1);
});
