// What needs two nodes: entities and keys that another one made a moment ago.
import { describe, expect, it } from 'vitest';
import { begunAt, openDoor, ROOT_KEY } from '../../../test/support/amqp-door.ts';
import { say, useBrokers } from '../../../test/support/broker.ts';
import { useDatabase } from '../../../test/support/database.ts';
import { eventually } from '../../../test/support/eventually.ts';
import {
  ATTACH,
  attach,
  DETACH,
  DISPOSITION,
  FLOW,
  flow,
  openAndBegin,
  RawClient,
  TRANSFER,
  transfer,
} from '../../../test/support/raw-amqp.ts';
import { Access } from '../../access/access.ts';
import type { Broker } from '../../topics/broker.ts';
import { createTopic } from '../../topics/entities/admin.ts';
import * as to from './amqp/encode.ts';

describe('a door beside others', () => {
  const { database } = useDatabase();
  const { start, freshName } = useBrokers(database);

  const open = (broker: Broker, stack: AsyncDisposableStack) => openDoor({ database, broker }, stack);

  it('finds an entity that another node has made, though nobody has told it yet', async () => {
    await using stack = new AsyncDisposableStack();
    const broker = await start();
    const door = await open(broker, stack);
    await using client = await begunAt(door);
    const [sent, received] = [freshName('queue'), freshName('queue')];
    // Written as another node writes it, without the hint that goes round afterwards.
    for (const name of [sent, received]) await createTopic(database, name, 'queue', {});
    client.write(attach('out', 0, false, sent), attach('in', 1, true, received), flow(1, 0, 1));
    await eventually(() => expect(client.of(ATTACH)).toHaveLength(2));
    await eventually(() => expect(client.of(FLOW)).not.toHaveLength(0));
    client.write(transfer(0, 0, to.section(0x75, to.binary(Buffer.from('x')))));
    await eventually(() => expect(client.of(DISPOSITION)).toHaveLength(1));
    await broker.publish(received, [say('y')]);
    await eventually(() => expect(client.of(TRANSFER)).toHaveLength(1));
    client.write(attach('no', 2, false, 'nothing'));
    await eventually(() => expect(client.of(DETACH)).toHaveLength(1));
  });

  it('takes a key that was made at another door', async () => {
    await using stack = new AsyncDisposableStack();
    const broker = await start();
    const [one, two] = [await open(broker, stack), await open(broker, stack)];
    const access = await Access.start({
      database,
      presets: [{ name: 'admin', secret: 'admin-key-0123456789', grants: [{ right: 'manage', entity: '*' }] }],
    });
    expect(access).toBeDefined();
    const { primary } = await eventually(async () => {
      const headers = { authorization: 'Bearer admin-key-0123456789' };
      const answer = await fetch(`http://127.0.0.1:${one.port}/$keys/primary`, { method: 'PUT', headers });
      expect(answer.status).toBe(200);
      return (await answer.json()) as { primary: string };
    });
    await eventually(async () => (await begunAt(two, primary))[Symbol.asyncDispose]());
    const refused = await RawClient.signedIn(two.port, ROOT_KEY);
    refused.write(openAndBegin());
    await eventually(() => expect(refused.closed).toBe(true));
  });
});
