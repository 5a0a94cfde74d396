// A door for AMQP in this process, over a broker of a test, and raw clients of it.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import { Access } from '../../src/access/access.ts';
import { ServiceBusDoor } from '../../src/gateways/servicebus/door.ts';
import type { EmitServiceBus } from '../../src/gateways/servicebus/signals.ts';
import type { Database } from '../../src/kit/database.ts';
import type { Broker } from '../../src/topics/broker.ts';
import { BEGIN, openAndBegin, RawClient } from './raw-amqp.ts';

export const ROOT_KEY = Buffer.alloc(32, 'k').toString('base64');

/** Ends with `stack`. */
export async function openDoor(
  { database, broker }: { readonly database: Database; readonly broker: Broker },
  stack: AsyncDisposableStack,
  emit: EmitServiceBus = () => {},
  more: { readonly patienceMs?: number } = {},
): Promise<ServiceBusDoor> {
  const folder = await mkdtemp(join(tmpdir(), 'carillon-door-'));
  stack.defer(() => rm(folder, { recursive: true }));
  const access = await Access.start({ database, presets: [] });
  const options = { broker, database, access, emit, rootKey: ROOT_KEY, secret: 'the same for all', folder, ...more };
  return stack.use(await ServiceBusDoor.start({ ...options, host: '127.0.0.1', port: 0 }));
}

/** A client that has a key, a connection and a session. */
export async function begunAt({ port }: ServiceBusDoor, key = ROOT_KEY): Promise<RawClient> {
  const client = await RawClient.signedIn(port, key);
  client.write(openAndBegin());
  await client.until(() => client.of(BEGIN).length > 0);
  expect(client.of(BEGIN)).toHaveLength(1);
  return client;
}
