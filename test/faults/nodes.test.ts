// Two servers on one PostgreSQL, the embedded one of the first: what somebody gets who lets a second node in.
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { EventHubConsumerClient, earliestEventPosition } from '@azure/event-hubs';
import { ServiceBusClient } from '@azure/service-bus';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { QueueClient } from '../support/broker-client.ts';
import { eventually } from '../support/eventually.ts';
import { ADMIN_KEY, ServerProcess } from '../support/server-process.ts';
import { connectionString, QUICK, SAS_KEY } from '../support/service-bus.ts';

describe('a second node on the PostgreSQL of the first', () => {
  let one: ServerProcess;
  let two: ServerProcess;
  const env = { CARILLON_LINK_KEY: randomBytes(32).toString('hex'), CARILLON_SAS_KEY: SAS_KEY };

  const beside = () => {
    const socket = encodeURIComponent(join(one.dataDir, 'socket'));
    return { ...env, CARILLON_DATABASE_URL: `postgres://postgres@/carillon?host=${socket}` };
  };

  beforeAll(async () => {
    one = await ServerProcess.start({ env });
    two = await ServerProcess.start({ env: beside() });
  });
  afterAll(async () => {
    await two?.[Symbol.asyncDispose]();
    await one?.[Symbol.asyncDispose]();
  });

  it('gets what lies with the first, and the first what lies with it', async () => {
    const [here, there] = [new QueueClient(one, 'shared'), new QueueClient(two, 'shared')];
    await here.create({});
    await eventually(async () => expect(await there.counts()).toMatchObject({ active: 0 }));
    for (const [from, to] of [
      [here, there],
      [there, here],
      [there, there],
      [here, here],
    ] as const) {
      await from.send([{ body: 'x' }]);
      const got = await eventually(async () => {
        const messages = await to.receive({ max: 1, waitMs: 1_000 });
        expect(messages).toMatchObject([{ body: 'x' }]);
        return messages;
      });
      await to.complete(got);
    }
  });

  it('says in its figures that it is not the only one, which pages tell their readers', async () => {
    for (const node of [one, two])
      await eventually(async () => expect(await node.call('GET', '/v1/stats')).toMatchObject({ alone: false }));
  });

  it('ends readers of an event hub that one of a higher level replaces, whichever node they read at', async () => {
    await one.call('PUT', '/v1/topics/hub', {});
    await one.call('POST', '/v1/topics/hub/messages', { messages: [{ body: 'x' }] });
    const consumers: EventHubConsumerClient[] = [];
    const read = (server: ServerProcess, ownerLevel?: number) => {
      const state: { code: string | undefined; events: number } = { code: undefined, events: 0 };
      const string = connectionString(server.amqpPort);
      const consumer = new EventHubConsumerClient('$Default', string, 'hub', { retryOptions: QUICK });
      consumers.push(consumer);
      const processEvents = async (events: readonly unknown[]) => {
        state.events += events.length;
      };
      const processError = async (error: Error) => {
        state.code = (error as { code?: string }).code;
      };
      const level = ownerLevel === undefined ? {} : { ownerLevel };
      consumer.subscribe('0', { processEvents, processError }, { startPosition: earliestEventPosition, ...level });
      return state;
    };
    const plain = read(one);
    await eventually(() => expect(plain).toEqual({ code: undefined, events: 1 }));
    const first = read(two, 1);
    await eventually(() => expect(plain.code).toBe('ReceiverDisconnectedError'));
    for (const late of [read(one, 0), read(one)])
      await eventually(() => expect(late).toEqual({ code: 'ReceiverDisconnectedError', events: 0 }));
    const winner = read(one, 2);
    await eventually(() => expect(first).toEqual({ code: 'ReceiverDisconnectedError', events: 1 }));
    await eventually(() => expect(winner).toEqual({ code: undefined, events: 1 }));
    await Promise.all(consumers.map((consumer) => consumer.close()));
  });

  it('says which keys it has others of and who has theirs, and nothing when it has the same', async () => {
    expect(one.output + two.output).not.toContain('server.keys-differ');
    const others = { CARILLON_ADMIN_KEY: 'another-admin-key-0123', CARILLON_SAS_KEY: 'another-access-key-0123' };
    {
      await using three = await ServerProcess.start({ env: { ...beside(), ...others } });
      expect(differences(three)).toEqual([
        {
          level: 'error',
          settings: ['CARILLON_ADMIN_KEY', 'CARILLON_SAS_KEY', 'CARILLON_HUB_LISTEN_KEY'],
          nodes: expect.toSatisfy((nodes: string[]) => nodes.length === 2 && nodes.every((node) => AT.test(node))),
          remedy: expect.stringMatching(/^Give all nodes .* CARILLON_ADMIN_KEY, CARILLON_SAS_KEY and CARILLON_HUB_/),
        },
      ]);
      expect((await one.fetch('GET', '/v1/topics')).status).toBe(401);
    }
    await two.end();
    await two.start(); // its key counts again
    expect(differences(two)).toEqual([]);
    const headers = { authorization: `Bearer ${ADMIN_KEY}` };
    await eventually(async () => expect((await fetch(`${one.url}/v1/topics`, { headers })).status).toBe(200));
  });

  it.each([
    ['CARILLON_ADMIN_KEY', 'CARILLON_ADMIN_KEY'],
    ['CARILLON_SAS_KEY', 'CARILLON_SAS_KEY and CARILLON_HUB_LISTEN_KEY'],
    ['CARILLON_LINK_KEY', 'CARILLON_LINK_KEY'],
  ])('does not start, and ends nothing, where nobody chose its %s', async (missing, named) => {
    const made = {
      ...{ PATH: process.env.PATH, CARILLON_PORT: '0', CARILLON_AMQP_PORT: '0', CARILLON_AMQP_HTTP_PORT: '0' },
      ...{ CARILLON_TLS_PORT: '0', CARILLON_ADMIN_KEY: ADMIN_KEY, CARILLON_DATA_DIR: join(two.dataDir, 'made') },
      ...{ ...beside(), [missing]: undefined },
    };
    const start = promisify(execFile)(process.execPath, ['src/main/cli.ts', 'start'], { env: made, timeout: 30_000 });
    await expect(start).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringMatching(
        new RegExp(`\\(node_.* at .*\\) have another ${named}\\. Give all nodes .*${named}:`),
      ),
    });
    expect((await one.fetch('GET', '/v1/topics')).status).toBe(200);
  });

  it('goes on at once with an import of devices that it was at when it was killed', async () => {
    await two.end();
    await one.call('PUT', '/v1/hubs/large', {});
    const file = join(one.dataDir, 'large.jsonl');
    const lines = Array.from({ length: 60_000 }, (_, i) =>
      JSON.stringify({ id: `d-${i}`, platform: 'fcmv1', address: `l-${i}` }),
    );
    await writeFile(file, lines.join('\n'));
    const args = ['device', 'import', file, '--hub', 'large', '--mode', 'create', '--no-wait', '--json'];
    const at = ['--url', one.url, '--key', ADMIN_KEY];
    const { stdout } = await promisify(execFile)(process.execPath, ['src/main/cli.ts', ...args, ...at]);
    const { id } = JSON.parse(stdout) as { id: string };
    type Job = { state: string; lines: number };
    const look = () => one.call<Job>('GET', `/v1/hubs/large/jobs/${id}`);
    await eventually(async () => expect((await look()).lines).toBeGreaterThan(0));
    await one.end('SIGKILL');
    await one.start();
    expect(await look()).toMatchObject({ state: 'Running', lines: expect.toSatisfy((done: number) => done < 60_000) });
    // Its lease would keep it for a minute.
    const before = (await look()).lines;
    await eventually(async () => expect((await look()).lines).toBeGreaterThan(before), 30_000);
    await eventually(async () => expect(await look()).toMatchObject({ state: 'Completed', lines: 60_000 }), 60_000);
  });

  it('takes another shared access key node by node: the last one that starts with it has nothing to say', async () => {
    const next = 'bmV4dC1zaGFyZWQtYWNjZXNzLWtleS0wMTIzNDU2Nzg5';
    // Clients that have moved to the secondary key are served all the time.
    const headers = { authorization: `Bearer ${ADMIN_KEY}` };
    const url = `http://127.0.0.1:${one.amqpPort}/$keys/secondary`;
    const { secondary } = (await (await fetch(url, { method: 'PUT', headers })).json()) as { secondary: string };
    await one.call('PUT', '/v1/topics/rolled', {});
    const send = async (node: ServerProcess, key: string) => {
      const client = new ServiceBusClient(connectionString(node.amqpPort, key), { retryOptions: QUICK });
      try {
        await client.createSender('rolled').sendMessages({ body: 'x' });
      } finally {
        await client.close();
      }
    };
    await two.end();
    await using second = await ServerProcess.start({
      dataDir: two.dataDir,
      env: { ...beside(), CARILLON_SAS_KEY: next },
    });
    expect(differences(second)).toMatchObject([
      { settings: ['CARILLON_SAS_KEY', 'CARILLON_HUB_LISTEN_KEY'], nodes: [expect.stringMatching(AT)] },
    ]);
    await send(second, next);
    await send(second, secondary);
    await expect(send(second, SAS_KEY)).rejects.toMatchObject({ code: 'UnauthorizedAccess' });
    for (const key of [SAS_KEY, secondary]) await send(one, key);
    await one.end();
    await using first = await ServerProcess.start({ dataDir: one.dataDir, env: { ...env, CARILLON_SAS_KEY: next } });
    expect(differences(first)).toEqual([]);
    await eventually(async () => expect(await first.call('GET', '/v1/stats')).toMatchObject({ alone: false }));
    for (const key of [next, secondary]) await send(first, key);
  });
});

/** Of an entry of `nodes`: who it is, and where. */
const AT = /^node_\w+ at 127\.0\.0\.1:\d+$/;

/** What a node has logged of keys that differ. */
function differences({ output }: ServerProcess): Record<string, unknown>[] {
  const lines = output.split('\n').filter((line) => line.includes('server.keys-differ'));
  return lines.map((line) => {
    const { time: _, msg: __, ...fields } = JSON.parse(line) as Record<string, unknown>;
    return fields;
  });
}
