// Clients of another language, from Debian's packages: azure-servicebus on its C stack, azure-eventhub, whose AMQP is
// written in Python, and Qpid Proton, which knows nothing of Azure. Azure's take no port: the door has to be on 5671, as
// the original is.
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BusUnderTest, receiveAll, SAS_KEY } from '../support/service-bus.ts';

const PYTHON = '/usr/bin/python3';
const folder = new URL('servicebus-python/', import.meta.url).pathname;
const run = promisify(execFile);

describe('clients in Python', () => {
  let bus: BusUnderTest;
  beforeAll(async () => {
    const found = await run(PYTHON, ['-c', 'import azure.servicebus, azure.eventhub, proton']).then(
      () => true,
      () => false,
    );
    if (!found) throw new Error('These tests need the Debian packages python3-azure and python3-qpid-proton.');
    bus = await BusUnderTest.start(undefined, { CARILLON_AMQP_PORT: '5671' });
  });
  afterAll(() => bus?.[Symbol.asyncDispose]());

  async function python(script: string, ...args: string[]): Promise<unknown> {
    const ca = join(bus.server.dataDir, 'servicebus/ca.pem');
    const env = { ...process.env, REQUESTS_CA_BUNDLE: ca };
    const { stdout } = await run(PYTHON, [join(folder, script), ...args], { env, timeout: 90_000 });
    return JSON.parse(stdout);
  }

  it('azure-servicebus creates, sends, settles, finds dead letters and locks sessions', async () => {
    const ca = join(bus.server.dataDir, 'servicebus/ca.pem');
    expect(await python('azure_servicebus.py', '5671', SAS_KEY, ca)).toEqual({
      rules: ['$Default', 'even'],
      topics: true,
      exists: 'ResourceExistsError',
      missing: 'ResourceNotFoundError',
      received: 100,
      dead: ['MaxDeliveryCountExceeded', 'why'],
      counted: 2,
      session: '2',
      next: 'a',
    });
  });

  it('azure-eventhub sends to partitions and keys, reads from any place, and owns partitions', async () => {
    const ca = join(bus.server.dataDir, 'servicebus/ca.pem');
    await bus.server.call('PUT', '/v1/topics/py-hub', { partitions: 4 });
    expect(await python('azure_eventhub.py', SAS_KEY, ca, 'py-hub')).toEqual({
      hub: ['py-hub', ['0', '1', '2', '3'], true],
      empty: [true, -1, '-1'],
      filled: ['py-hub', '3', false, true],
      order: true,
      first: ['m0', { n: 0, text: 'x' }, true, true, null],
      keyed: [3, 1, 'customer-1'],
      positions: ['501', '500', '501', '0'],
      latest: [true, true],
      end: [true, true],
      owners: [true, true, null],
      missing: 'AuthenticationError',
      partition: 'ConnectError',
      asked: 'ConnectError',
      large: 'EventDataSendError',
    });
  });

  it.each([
    ['commit', 'committed', { activeMessageCount: 0 }, ['answered']],
    ['abort', 'aborted', { activeMessageCount: 1 }, []],
  ])('Qpid Proton sends and receives, and a transaction: %s', async (end, said, counts, answers) => {
    const source = await bus.queue();
    const target = await bus.queue();
    const result = await python('proton_client.py', '5671', SAS_KEY, source.queue, target.queue, end);
    expect(result).toEqual({ plain: ['p1', 'hello', { x: [1, 2] }, { n: 5 }], end: said });
    expect(await bus.admin.getQueueRuntimeProperties(source.queue)).toMatchObject(counts);
    expect(await bus.admin.getQueueRuntimeProperties(target.queue)).toMatchObject({
      activeMessageCount: answers.length,
    });
    if (answers.length > 0) expect((await receiveAll(target.receiver(), 1))[0]!.body).toEqual(answers[0]);
  });
});
