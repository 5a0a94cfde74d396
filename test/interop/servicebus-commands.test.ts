// The command line as a Service Bus client: its commands against a namespace that only a connection string names. Here
// that is our own door; nothing in the commands knows it.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ADMIN_KEY } from '../support/server-process.ts';
import { BusUnderTest, connectionString, receiveAll } from '../support/service-bus.ts';

describe('the command line and Service Bus', () => {
  let bus: BusUnderTest;
  beforeAll(async () => {
    bus = await BusUnderTest.start();
  });
  afterAll(() => bus?.[Symbol.asyncDispose]());

  function start(args: readonly string[], env: Record<string, string> = {}) {
    const trust = { NODE_EXTRA_CA_CERTS: join(bus.server.dataDir, 'servicebus/ca.pem') };
    return spawn(process.execPath, ['bin/carillon.js', ...args], {
      env: { PATH: process.env.PATH, HOME: bus.server.dataDir, ...trust, ...env },
    });
  }
  /** A command that does not end by itself. */
  function open(...args: string[]) {
    return start([...args, '--connection-string', bus.connectionString, '--json']);
  }
  function lines(...args: string[]): AsyncIterableIterator<string> {
    return createInterface({ input: open(...args).stdout })[Symbol.asyncIterator]();
  }
  async function run(args: readonly string[], env: Record<string, string> = {}) {
    const child = start(args, env);
    const closed = new Promise<number | null>((resolve) => child.once('close', resolve));
    const [said, complaint] = await Promise.all([text(child.stdout), text(child.stderr)]);
    return { status: await closed, said, complaint };
  }
  async function json<T>(...args: string[]): Promise<T> {
    const { status, said, complaint } = await run([...args, '--connection-string', bus.connectionString, '--json']);
    expect({ status, complaint }).toEqual({ status: 0, complaint: '' });
    return JSON.parse(said) as T;
  }

  it('makes, shows, lists and deletes topics and subscriptions of a namespace', async () => {
    expect(await json('topic', 'create', 'cli')).toMatchObject({ name: 'cli', status: 'Active' });
    const settings = ['--settings', '{"maxDeliveryCount":3}'];
    expect(await json('subscription', 'create', 'cli', 's', ...settings)).toMatchObject({ maxDeliveryCount: 3 });
    expect(await json('subscription', 'show', 'cli', 's')).toMatchObject({ subscriptionName: 's' });
    const { items } = await json<{ items: { name: string }[] }>('topic', 'list');
    expect(items.map(({ name }) => name)).toContain('cli');
    expect(await json('subscription', 'list', 'cli')).toMatchObject({ items: [{ subscriptionName: 's' }] });
    await json('subscription', 'delete', 'cli', 's');
    await json('topic', 'delete', 'cli');
    expect(await bus.admin.topicExists('cli')).toBe(false);
  });

  it('makes, changes and deletes queues and rules of a namespace, with the same flags', async () => {
    const given = ['--lock-duration', '30s', '--time-to-live', '1h', '--forward-to', 'cli-target'];
    await json('queue', 'create', 'cli-target');
    expect(await json('queue', 'create', 'cli-queue', ...given)).toMatchObject({ lockDuration: 'PT30S' });
    const changes = ['--forward-to', 'none', '--time-to-live', 'none', '--status', 'sendDisabled'];
    await json('queue', 'update', 'cli-queue', ...changes);
    const queue = await bus.admin.getQueue('cli-queue');
    expect(queue).toMatchObject({ lockDuration: 'PT30S', status: 'SendDisabled' });
    expect([queue.forwardTo, queue.defaultMessageTimeToLive]).toEqual([undefined, 'P10675199DT2H48M5.4775807S']);
    expect(await json('queue', 'show', 'cli-queue')).toMatchObject({ status: 'SendDisabled', activeMessageCount: 0 });
    const { items } = await json<{ items: { name: string }[] }>('queue', 'list', '--limit', '1');
    expect(items).toHaveLength(1);
    await json('queue', 'delete', 'cli-queue');
    expect(await bus.admin.queueExists('cli-queue')).toBe(false);
    const { topic } = await bus.subscription();
    await json('topic', 'update', topic, '--metadata', 'of a test');
    expect(await json('topic', 'show', topic)).toMatchObject({ userMetadata: 'of a test', subscriptionCount: 1 });
    await json('subscription', 'update', topic, 's', '--max-delivery-count', '4');
    expect(await bus.admin.getSubscription(topic, 's')).toMatchObject({ maxDeliveryCount: 4 });
    const rule = (verb: string, ...args: string[]) => json('rule', verb, topic, 's', ...args);
    await rule('create', 'high', '--sql', 'level >= @least', '--parameter', 'least:=3', '--action', 'SET seen = 1');
    await rule('create', 'joined', '--correlation', 'subject=joined', '--property', 'site=berlin');
    await rule('update', 'high', '--sql', 'level > 9');
    expect(await bus.admin.getRule(topic, 's', 'high')).toMatchObject({
      filter: { sqlExpression: 'level > 9' },
      action: { sqlExpression: 'SET seen = 1' },
    });
    expect(await bus.admin.getRule(topic, 's', 'joined')).toMatchObject({
      filter: { subject: 'joined', applicationProperties: { site: 'berlin' } },
    });
    await rule('delete', 'high');
    expect(await rule('list')).toMatchObject({ items: [{ name: '$Default' }, { name: 'joined' }] });
  });

  it('makes what is not there and changes what is, as over HTTP', async () => {
    const create = (...args: string[]) => json(args[0]!, 'create', ...args.slice(1));
    await create('topic', 'twice', '--metadata', 'one');
    expect(await create('topic', 'twice', '--time-to-live', '1h')).toMatchObject({
      userMetadata: 'one',
      defaultMessageTimeToLive: 'PT1H',
    });
    await create('subscription', 'twice', 's', '--metadata', 'one');
    expect(await create('subscription', 'twice', 's', '--max-delivery-count', '4')).toMatchObject({
      userMetadata: 'one',
      maxDeliveryCount: 4,
    });
    await create('queue', 'twice-queue', '--forward-to', 'twice');
    expect(await create('queue', 'twice-queue', '--forward-to', 'none')).not.toHaveProperty('forwardTo');
    expect(await create('queue', 'twice-queue')).toMatchObject({ name: 'twice-queue', requiresSession: false });
    const refused = (...args: string[]) => run([...args, '--connection-string', bus.connectionString]);
    const flip = await refused('queue', 'create', 'twice-queue', '--requires-session', 'true');
    expect(flip).toMatchObject({
      status: 1,
      complaint: expect.stringMatching(/RequiresSession .* make another queue/),
    });
    const first = '{"defaultRuleOptions":{"name":"first","filter":{"subject":"x"}},"maxDeliveryCount":5}';
    const late = await refused('subscription', 'create', 'twice', 's', '--settings', first);
    expect(late).toMatchObject({ status: 2, complaint: expect.stringContaining('carillon rule') });
    expect(await bus.admin.getSubscription('twice', 's')).toMatchObject({ maxDeliveryCount: 4 });
    const otherKind = await refused('queue', 'create', 'twice');
    expect(otherKind).toMatchObject({ status: 1, complaint: expect.stringContaining('exists already, as a topic') });
    expect((await refused('subscription', 'create', 'nowhere', 's')).complaint).toContain('could not be found');
  });

  it('sends into sessions and for later, looks, takes and settles', async () => {
    const { queue } = await bus.queue({ requiresSession: true });
    const at = ['--queue', queue];
    const { messages } = await json<{ messages: { sequence: string }[] }>(
      ...(['send', queue, '--body', 'late', '--session', 'b', '--at', '2099-01-01T00:00:00Z'] as const),
    );
    await json('send', queue, '--body', 'first', '--session', 'a', '--property', 'level:=3');
    const watching = json('watch', ...at, '--session', 'b', '--count', '1');
    await json('send', queue, '--type', 'job.done', '--data', '{"n":1}', '--session', 'b');
    expect(await watching).toMatchObject({ sessionId: 'b', body: { n: 1 } });
    const number = messages[0]!.sequence;
    expect(await json('message', 'cancel', queue, '--sequence', number)).toEqual({ cancelled: 1 });
    const again = await run([
      'message',
      'cancel',
      queue,
      '--sequence',
      number,
      '--connection-string',
      bus.connectionString,
    ]);
    expect(again.status).toBe(1);
    const take = (...args: string[]) => json('message', 'receive', ...at, ...args);
    await take('--session', 'a', '--as', 'defer');
    expect(await json('message', 'list', ...at, '--session', 'a')).toMatchObject({ items: [{ state: 'deferred' }] });
    expect(await take('--session', 'a', '--sequence', '1', '--as', 'dead-letter', '--reason', 'why')).toMatchObject({
      body: 'first',
      properties: { level: 3 },
    });
    expect(await json('dead-letter', 'causes', ...at)).toMatchObject({ items: [{ reason: 'why', count: 1 }] });
    expect(await json('dead-letter', 'redrive', ...at, '--cause', 'other')).toEqual({ redriven: 0 });
    expect(await json('dead-letter', 'redrive', ...at, '--cause', 'why')).toEqual({ redriven: 1 });
    expect(await take('--next-session')).toMatchObject({ body: expect.anything() });
    expect(await json('message', 'list', ...at)).toMatchObject({ items: [{ state: 'active' }] });
  });

  it('sends, watches, lists dead letters and puts them back to work', async () => {
    const { topic, receiver } = await bus.subscription();
    const place = ['--topic', topic, '--subscription', 's'];
    const event = ['--type', 'hr.joined', '--id', 'e1', '--data', '{"a":1}'];
    expect(await json('send', topic, ...event)).toMatchObject({ accepted: 1, events: [{ id: 'e1' }] });
    expect(await json('watch', ...place, '--count', '1')).toMatchObject({ messageId: 'e1', subject: 'hr.joined' });
    const living = receiver();
    const [message] = await receiveAll(living, 1);
    expect(message).toMatchObject({ body: { a: 1 }, applicationProperties: { 'cloudEvents:type': 'hr.joined' } });
    await living.deadLetterMessage(message!, { deadLetterReason: 'why', deadLetterErrorDescription: 'because' });
    expect(await json('dead-letter', 'list', ...place)).toMatchObject({
      items: [{ messageId: 'e1', deadLetterReason: 'why' }],
    });
    expect(await json('dead-letter', 'redrive', '--all', ...place)).toEqual({ redriven: 1 });
    expect((await receiveAll(living, 1))[0]).toMatchObject({ messageId: 'e1', body: { a: 1 } });
  });

  it('watches all partitions, also when messages come to lower ones later', async () => {
    await bus.server.call('PUT', '/v1/queues/cli-parts', { partitions: 4 });
    const sender = bus.client.createSender('cli-parts');
    const send = async (round: string) => {
      for (let key = 0; key < 16; key++) await sender.sendMessages({ body: `${round}${key}`, partitionKey: `k${key}` });
    };
    await send('a');
    const at = ['--queue', 'cli-parts'];
    const watching = lines('watch', ...at, '--count', '32');
    for (let seen = 0; seen < 16; seen++) await watching.next();
    await send('b');
    const shown: { body: string; sequence: string }[] = [];
    for await (const line of watching) shown.push(JSON.parse(line) as (typeof shown)[number]);
    expect(shown.map(({ body }) => body).sort()).toEqual(Array.from({ length: 16 }, (_, key) => `b${key}`).sort());
    const highest = shown.map(({ sequence }) => sequence).sort((a, b) => Number(a) - Number(b))[15]!;
    expect(Number(highest)).toBeGreaterThan(2 ** 44);
    expect(await json('message', 'list', ...at, '--from', highest)).toMatchObject({ items: [{ sequence: highest }] });
  });

  it('watches and lists what lies among hundreds that come later', async () => {
    const { queue, sender } = await bus.queue();
    const later = Array.from({ length: 260 }, (_, n) => ({ body: `later ${n}` }));
    await sender.scheduleMessages(later, new Date('2099-01-01'));
    await sender.sendMessages({ body: 'now' });
    const watching = lines('watch', '--queue', queue, '--count', '2');
    expect(JSON.parse((await watching.next()).value)).toMatchObject({ body: 'now' });
    await sender.sendMessages({ body: 'next' });
    expect(JSON.parse((await watching.next()).value)).toMatchObject({ body: 'next' });
    expect((await watching.next()).done).toBe(true);
    const { items } = await json<{ items: unknown[] }>('message', 'list', '--queue', queue, '--limit', '1000');
    expect(items).toHaveLength(262);
  });

  it('takes numbers of 64 bits as they are', async () => {
    const { queue } = await bus.queue();
    const [big, tooBig] = ['9223372036854775807', '9223372036854775808'];
    const at = ['--queue', queue];
    const refused = (...args: string[]) => run([...args, '--connection-string', bus.connectionString]);
    const missing = { status: 1, complaint: expect.stringContaining(`There is no message ${big}.`) };
    expect(await refused('message', 'receive', ...at, '--sequence', big)).toMatchObject(missing);
    expect(await refused('message', 'cancel', queue, '--sequence', big)).toMatchObject(missing);
    const dead = { status: 1, complaint: 'carillon: No dead letter has such a number.\n' };
    expect(await refused('dead-letter', 'redrive', ...at, '--sequence', big)).toMatchObject(dead);
    expect(await json('message', 'list', ...at, '--from', big)).toEqual({ items: [] });
    expect(await json('message', 'list', ...at, '--from', '0')).toEqual({ items: [] });
    const usage = { status: 2, complaint: expect.stringContaining('wants the number of a message') };
    for (const option of ['--sequence', '--from'])
      expect(await refused('message', option === '--from' ? 'list' : 'receive', ...at, option, tooBig)).toMatchObject(
        usage,
      );
    const env = { CARILLON_URL: bus.server.url, CARILLON_KEY: ADMIN_KEY };
    expect(await run(['dead-letter', 'redrive', ...at, '--sequence', big], env)).toMatchObject(dead);
    expect(await run(['message', 'receive', ...at, '--sequence', big], env)).toMatchObject({ status: 1 });
  });

  it('ends without a complaint when it is interrupted, or when nobody reads on', async () => {
    const { queue, sender } = await bus.queue();
    await sender.sendMessages([{ body: 1 }, { body: 2 }]);
    const interrupted = open('watch', '--queue', queue);
    await once(interrupted.stdout, 'data');
    interrupted.kill('SIGINT');
    const complaint = text(interrupted.stderr);
    expect([await once(interrupted, 'close'), await complaint]).toEqual([[null, 'SIGINT'], '']);
    const unread = open('watch', '--queue', queue);
    await once(unread.stdout, 'data');
    unread.stdout.destroy();
    await sender.sendMessages({ body: 3 });
    const silence = text(unread.stderr);
    expect([await once(unread, 'close'), await silence]).toEqual([[0, null], '']);
  });

  it('puts dead letters back to work where duplicates are dropped, and none of them is taken for one', async () => {
    const { topic, sender, receiver } = await bus.subscription({}, { requiresDuplicateDetection: true });
    await sender.sendMessages([
      { body: 1, messageId: 'a' },
      { body: 2, messageId: 'b' },
    ]);
    const living = receiver();
    for (const message of await receiveAll(living, 2)) await living.deadLetterMessage(message);
    const redriven = await json('dead-letter', 'redrive', '--all', '--topic', topic, '--subscription', 's');
    expect(redriven).toEqual({ redriven: 2 });
    expect((await receiveAll(living, 2)).map(({ body }) => body).sort()).toEqual([1, 2]);
  });

  it('says what is wrong with a connection string, an entity, a place', async () => {
    const at = (string: string, ...args: string[]) => run([...args, '--connection-string', string]);
    expect((await at('rubbish', 'topic', 'list')).status).toBe(2);
    const nowhere = await at(bus.connectionString, 'send', 'no-such-topic', '--type', 't');
    expect([nowhere.status, nowhere.complaint]).toEqual([1, expect.stringMatching(/could not be found/)]);
    const wrong = connectionString(bus.server.amqpPort, 'wrong');
    const unauthorized = await at(wrong, 'topic', 'create', 'x');
    expect([unauthorized.status, unauthorized.complaint]).toEqual([
      1,
      expect.stringMatching(/^carillon: .*signature/i),
    ]);
    const keyless = await at(wrong, 'watch', '--queue', 'q');
    expect([keyless.status, keyless.complaint]).toEqual([1, expect.stringMatching(/^carillon: .*signature/i)]);
    const away = await at(connectionString(1), 'topic', 'list');
    expect([away.status, away.complaint]).toEqual([3, expect.stringMatching(/^carillon: .*ECONNREFUSED/)]);
    const silent = await at(connectionString(1), 'watch', '--topic', 't', '--subscription', 's', '--json');
    expect([silent.status, JSON.parse(silent.complaint)]).toMatchObject([3, { error: 'unreachable' }]);
    const untrusted = await run(['topic', 'list', '--connection-string', bus.connectionString], {
      NODE_EXTRA_CA_CERTS: '',
    });
    expect([untrusted.status, untrusted.complaint]).toEqual([3, expect.stringMatching(/NODE_EXTRA_CA_CERTS/)]);
    const endless = await at(bus.connectionString, 'watch', '--topic', 't', '--subscription', 's', '--count', 'many');
    expect([endless.status, endless.complaint]).toEqual([2, expect.stringMatching(/--count wants a whole number/)]);
    const twice = await at(bus.connectionString, 'topic', 'show', 'no-such-topic');
    expect([twice.status, twice.complaint]).toEqual([1, expect.stringMatching(/^carillon: /)]);
    expect((await at(bus.connectionString, 'dead-letter', 'list')).complaint).toMatch(/--topic and --subscription/);
    for (const settings of ['{"nope":1}', '[]', '7', '{bad']) {
      const create = await at(bus.connectionString, 'topic', 'create', 'cli-bad', '--settings', settings);
      expect([create.status, create.complaint]).toEqual([2, expect.stringMatching(/settings|JSON/)]);
    }
    expect(await bus.admin.topicExists('cli-bad')).toBe(false);
    const paged = await at(bus.connectionString, 'queue', 'list', '--cursor', 'x');
    expect([paged.status, paged.complaint]).toEqual([2, expect.stringMatching(/from its beginning/)]);
    const foreign = await at(bus.connectionString, 'queue', 'create', 'cli-bad', '--partitions', '3');
    expect([foreign.status, foreign.complaint]).toEqual([2, expect.stringMatching(/setting of Carillon/)]);
    const purge = await at(bus.connectionString, 'message', 'purge', '--queue', 'q');
    expect([purge.status, purge.complaint]).toEqual([2, expect.stringMatching(/Give --all/)]);
  });

  it('makes new keys of the namespace and prints the connection string with either', async () => {
    const env = { CARILLON_DATA_DIR: bus.server.dataDir, CARILLON_ADMIN_KEY: ADMIN_KEY };
    const print = async (...args: string[]) => (await run(['key', ...args], env)).said.trim();
    expect((await run(['key', 'connection-string', '--secondary'], env)).complaint).toMatch(/regenerate secondary/);
    const made = await print('regenerate', 'secondary');
    expect(made).toContain(';SharedAccessKeyName=RootManageSharedAccessKey;');
    expect(await print('connection-string', '--secondary')).toBe(made);
    expect(await print('connection-string')).toBe(bus.connectionString);
    const queue = await bus.queue();
    const client = new bus.sdk.ServiceBusClient(made);
    await client.createSender(queue.queue).sendMessages({ body: 'by the second key' });
    await client.close();
  });
});
