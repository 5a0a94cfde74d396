// The command line against a whole server, as its users run it: words for people, JSON for programs, exit statuses.
import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { commands } from '../../src/main/cli/commands.ts';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/free-port.ts';
import { ADMIN_KEY, ServerProcess } from '../support/server-process.ts';

type Result = { readonly status: number | null; readonly said: string; readonly complaint: string };

describe('the command line', () => {
  let server: ServerProcess;
  let folder: string;

  beforeAll(async () => {
    server = await ServerProcess.start();
    folder = await mkdtemp(join(tmpdir(), 'carillon-commands-'));
  });
  afterAll(async () => {
    await server[Symbol.asyncDispose]();
    await rm(folder, { recursive: true });
  });

  async function carillon(args: readonly string[], options: { env?: object; input?: string } = {}): Promise<Result> {
    // Neither address nor key: both are found by the data folder.
    const found = { CARILLON_DATA_DIR: server.dataDir, CARILLON_ADMIN_KEY: ADMIN_KEY };
    const env = { PATH: process.env.PATH, HOME: folder, ...found, ...options.env };
    const child = spawn(process.execPath, ['bin/carillon.js', ...args], { env });
    child.stdin.end(options.input ?? '');
    const closed = new Promise<number | null>((resolve) => child.once('close', resolve));
    const [said, complaint] = await Promise.all([text(child.stdout), text(child.stderr)]);
    return { status: await closed, said, complaint };
  }

  async function done(...args: string[]): Promise<string> {
    const { status, said, complaint } = await carillon(args);
    expect({ status, complaint }).toEqual({ status: 0, complaint: '' });
    return said;
  }

  async function json<T = Record<string, unknown>>(...args: string[]): Promise<T> {
    return JSON.parse(await done(...args, '--json')) as T;
  }

  it('follows an event from the backend to the person', async () => {
    expect(await done('recipient', 'put', 'ada', '--name', 'Ada', '--attribute', 'team=engines')).toContain('Ada');
    const watching = carillon(['watch', 'ada', '--count', '1', '--json']);
    const data = {
      request: 'b1',
      requester: { id: 'grace', name: 'Grace' },
      approver: 'ada',
      amount: 5,
      currency: 'EUR',
    };
    const event = ['--type', 'finance.budget.requested', '--data', JSON.stringify({ ...data, purpose: 'A loom' })];
    await eventually(() => expect(server.call('GET', '/v1/stats')).resolves.toMatchObject({ openStreams: 1 }));
    expect(await done('send', 'finance', '--id', 'e1', ...event)).toBe('accepted: e1 as number 1\n');
    expect(await done('send', 'finance', '--id', 'e1', ...event)).toBe('known already: e1 as number 1\n');
    expect(JSON.parse((await watching).said)).toMatchObject({ body: 'A loom', notification: 'budget-approval' });
    expect(await done('trace', 'finance', 'e1')).toMatch(/budget-approval +ada/);
    expect(await json('trace', 'finance', '1')).toEqual(await json('trace', 'finance', 'e1'));
    expect(await done('recipient', 'trace', 'ada')).toContain('budget-approval');
  });

  it('takes events from a file and from its input, one or many', async () => {
    const event = (id: string) => ({ specversion: '1.0', id, source: '/t', type: 'test', data: { id } });
    const file = join(folder, 'event.json');
    await writeFile(file, JSON.stringify([event('f1'), event('f2')]));
    expect(await json('send', 'hr', '--file', file)).toMatchObject({ accepted: 2 });
    const piped = await carillon(['send', 'hr', '--file', '-'], { input: JSON.stringify(event('p1')) });
    expect(piped.said).toMatch(/^accepted: p1/);
    const data = await carillon(['send', 'hr', '--type', 'test', '--data', '-'], { input: '{"a":1}' });
    expect(data.status).toBe(0);
  });

  it('plays the three backends', async () => {
    for (const [backend, type] of Object.entries({
      hr: 'hr.employee.',
      finance: 'finance.budget.',
      account: 'account.',
    })) {
      const lines = (await done('simulate', backend, '--every', '1ms', '--count', '3', '--json')).trim().split('\n');
      expect(lines.map((line) => (JSON.parse(line) as { type: string }).type)).toEqual(
        Array(3).fill(expect.stringContaining(type)),
      );
    }
  });

  it('makes, shows, lists and deletes topics and subscriptions', async () => {
    await done('topic', 'create', 'orders', '--settings', '{"duplicateDetection":true}');
    expect(await json('topic', 'show', 'orders')).toMatchObject({ name: 'orders', duplicateDetection: true });
    expect(await done('topic', 'list')).toMatch(/^orders /m);
    await done('subscription', 'create', 'orders', 'billing', '--settings', '{"maxDeliveryCount":3}');
    expect(await json('subscription', 'show', 'orders', 'billing')).toMatchObject({ maxDeliveryCount: 3 });
    expect(await done('subscription', 'list', 'orders')).toMatch(/^billing /m);
    const changes = ['--lock-duration', 'PT30S', '--time-to-live', '2d', '--status', 'ReceiveDisabled'];
    expect(await json('subscription', 'update', 'orders', 'billing', ...changes)).toMatchObject({
      maxDeliveryCount: 3,
      lockDurationMs: 30_000,
      defaultTimeToLiveMs: 172_800_000,
      status: 'receiveDisabled',
    });
    expect(await json('topic', 'update', 'orders', '--max-size-mb', '5')).toMatchObject({ maxSizeBytes: 5_242_880 });
    await done('subscription', 'delete', 'orders', 'billing');
    await done('topic', 'delete', 'orders');
    expect((await carillon(['topic', 'show', 'orders'])).status).toBe(1);
    expect((await carillon(['topic', 'update', 'orders', '--metadata', 'x'])).status).toBe(1);
    expect((await carillon(['topic', 'show', 'orders'])).status).toBe(1); // changing has not made it
  });

  it('makes, changes, lists and deletes queues', async () => {
    const given = ['--requires-session', 'true', '--forward-dead-letters-to', 'hr'];
    expect(await json('queue', 'create', 'work', ...given)).toMatchObject({
      requiresSession: true,
      forwardDeadLettersTo: 'hr',
    });
    expect(await done('queue', 'list')).toMatch(/^work +0 +0 +0 +active$/m);
    const changed = await json(
      'queue',
      'update',
      'work',
      '--forward-dead-letters-to',
      'none',
      '--metadata',
      'of a test',
    );
    expect(changed).toMatchObject({ requiresSession: true, forwardDeadLettersTo: null, userMetadata: 'of a test' });
    expect(await json('queue', 'show', 'work')).toMatchObject({ active: 0, userMetadata: 'of a test' });
    for (const verb of ['create', 'update']) {
      const flip = await carillon(['queue', verb, 'work', '--requires-session', 'false', '--metadata', 'flipped']);
      expect(flip).toMatchObject({
        status: 1,
        complaint: expect.stringMatching(/requiresSession .* make another queue/),
      });
    }
    const again = await json('queue', 'create', 'work', '--requires-session', 'true', '--max-delivery-count', '4');
    expect(again).toMatchObject({ requiresSession: true, maxDeliveryCount: 4, userMetadata: 'of a test' });
    await done('queue', 'delete', 'work');
    expect((await carillon(['queue', 'show', 'work'])).status).toBe(1);
  });

  it('makes, changes, shows and deletes rules, and they decide', async () => {
    await done('topic', 'create', 'ruled');
    await done('subscription', 'create', 'ruled', 's');
    const rule = (verb: string, ...args: string[]) => done('rule', verb, 'ruled', 's', ...args);
    await rule('create', 'high', '--sql', 'level >= @least', '--parameter', 'least:=3', '--action', 'SET seen = 1');
    await rule('create', 'joined', '--correlation', 'subject=joined', '--property', 'site=berlin');
    await rule('delete', '$Default');
    expect(await rule('list')).toMatch(/^high +level >= @least +\{"least":3\} +SET seen = 1/m);
    expect(await rule('list')).toMatch(/^joined +subject = "joined", site = "berlin" /m);
    for (const [body, ...more] of [
      ['a', '--property', 'level:=2'],
      ['b', '--property', 'level:=3'],
      ['c', '--subject', 'joined', '--property', 'site=berlin'],
    ] as const)
      await done('send', 'ruled', '--body', body, ...more);
    const place = ['--topic', 'ruled', '--subscription', 's'];
    const { items } = await json<{ items: object[] }>('message', 'list', ...place);
    expect(items).toMatchObject([{ body: 'b', properties: { level: 3, seen: 1 } }, { body: 'c' }]);
    await rule('update', 'high', '--action', 'none');
    expect(await json('rule', 'show', 'ruled', 's', 'high')).toEqual({
      name: 'high',
      filter: { type: 'sql', expression: 'level >= @least', parameters: { least: 3 } },
      createdAt: expect.any(String),
    });
    expect((await carillon(['rule', 'create', 'ruled', 's', 'high', '--all'])).status).toBe(1);
    expect(await rule('show', 'high')).toContain('level >= @least'); // and is as it was
  });

  it('sends, watches, takes and settles messages of queues, in sessions and later ones', async () => {
    await done('queue', 'create', 'jobs', '--requires-session', 'true');
    const at = ['--queue', 'jobs'];
    const late = await done('send', 'jobs', '--body', 'late', '--session', 'b', '--at', '2099-01-01T00:00:00Z');
    expect(late).toMatch(/^scheduled for 2099-01-01T00:00:00.000Z as number \d+$/m);
    await done('send', 'jobs', '--body', 'first', '--session', 'a', '--property', 'level:=3');
    const watching = json('watch', ...at, '--session', 'b', '--count', '1');
    await done('send', 'jobs', '--type', 'job.done', '--data', '{"n":1}', '--session', 'b');
    // What is scheduled has a higher number than all that comes, and hides none of it.
    expect(await watching).toMatchObject({ sessionId: 'b', body: { n: 1 } });
    const number = /\d+$/.exec(late.trim())![0];
    expect(await done('message', 'cancel', 'jobs', '--sequence', number)).toBe('1 cancelled\n');
    expect((await carillon(['message', 'cancel', 'jobs', '--sequence', number])).status).toBe(1);
    const take = (...args: string[]) => json('message', 'receive', ...at, ...args);
    await take('--session', 'a', '--as', 'defer');
    expect(await take('--session', 'a', '--sequence', '1', '--as', 'dead-letter', '--reason', 'why')).toMatchObject({
      body: 'first',
      properties: { level: 3 },
    });
    expect(await done('dead-letter', 'causes', ...at)).toMatch(/^why +1 /m);
    expect(await json('dead-letter', 'list', ...at)).toMatchObject({ items: [{ deadLetterReason: 'why' }] });
    expect((await carillon(['dead-letter', 'redrive', ...at, '--sequence', '77'])).status).toBe(1);
    expect(await json('dead-letter', 'redrive', ...at, '--cause', 'why')).toEqual({ redriven: 1 });
    expect(await take('--next-session', '--as', 'abandon')).toMatchObject({ body: expect.anything() });
    expect(await json('message', 'purge', ...at, '--all')).toEqual({ purged: 2 });
    expect(await done('message', 'list', ...at)).toBe('(none)\n');
  });

  it('shows and replaces what a person wants', async () => {
    await done('recipient', 'prefer', 'grace', '{"SendNotificationToMobileDevice":false}');
    expect(await json('recipient', 'preferences', 'grace')).toMatchObject({
      SendNotificationToMobileDevice: false,
      SendNotificationToConversation: true,
    });
    await done('recipient', 'delete', 'grace');
    expect(await json('recipient', 'list', '--prefix', 'grace')).toMatchObject({ items: [] });
  });

  it('makes a key that may do what it was made for, until it is revoked', async () => {
    const { id, secret } = await json<{ id: string; secret: string }>(
      'key',
      'create',
      'hr',
      '--grant',
      'send topic:hr',
    );
    const send = (topic: string) => carillon(['send', topic, '--type', 'test', '--key', secret]);
    expect((await send('hr')).status).toBe(0);
    const refused = await send('finance');
    expect([refused.status, refused.complaint]).toEqual([1, expect.stringContaining('send on topic:finance')]);
    await done('key', 'revoke', id);
    expect((await send('hr')).status).toBe(1);
  });

  it('prints the connection string of the Service Bus door', async () => {
    const said = await done('key', 'connection-string');
    expect(said).toMatch(
      /^Endpoint=sb:\/\/localhost:\d+;SharedAccessKeyName=RootManageSharedAccessKey;SharedAccessKey=\S{43}=;/,
    );
    expect(server.output).toContain(said.trim());
  });

  it('does not give the key of this server for another one that does not answer', async () => {
    const env = { CARILLON_AMQP_PORT: String(await freePort()) };
    const { status, said, complaint } = await carillon(['key', 'connection-string', '--url', server.url], { env });
    expect([status, said]).toEqual([3, '']);
    expect(complaint).toContain(`No server answers at http://127.0.0.1:${env.CARILLON_AMQP_PORT}`);
  });

  it('lists and redrives dead letters, which are none', async () => {
    expect(await json('dead-letter', 'list')).toMatchObject({ items: [] });
    expect(await done('dead-letter', 'causes')).toBe('(none)\n');
    expect(await done('dead-letter', 'redrive', '--all')).toBe('0 put back to work\n');
    expect((await carillon(['dead-letter', 'redrive'])).status).toBe(2);
  });

  it('shows what cards ask, withdraws a question, and redrives answers, of which there are none', async () => {
    const requester = { id: 'grace', name: 'Grace' };
    const data = { request: 'b2', requester, approver: 'lea', amount: 5, currency: 'EUR', purpose: 'A spool' };
    await done('send', 'finance', '--id', 'e2', '--type', 'finance.budget.requested', '--data', JSON.stringify(data));
    type Questions = { items: { id: string; eventId: string; decision: { state: string } }[] };
    const list = (state: string) => json<Questions>('question', 'list', '--recipient', 'lea', '--state', state);
    const [{ id }] = await eventually(async () => {
      const { items } = await list('open');
      expect(items).toMatchObject([{ eventId: 'e2', decision: { state: 'open' } }]);
      return items as [Questions['items'][0]]; // one, as was just seen
    });
    expect(await done('question', 'list', '--recipient', 'lea')).toMatch(/budget-approval +finance\/e2 +open/);
    expect(await done('question', 'show', id)).toMatch(/asked +lea/);
    expect(await done('question', 'withdraw', id)).toBe(`Withdrawn: ${id}.\n`);
    expect((await list('open')).items).toEqual([]);
    expect(await json('question', 'show', id)).toMatchObject({ id, decision: { state: 'withdrawn' }, answers: [] });
    expect((await carillon(['question', 'withdraw', id])).status).toBe(1);
    expect(await json('question', 'redrive')).toEqual({ redriven: 0 });
  });

  it('takes back and corrects what an event told', async () => {
    const data = { employee: { id: 'e9', name: 'Mia' }, team: 'Sales', notify: ['mia'] };
    await done('send', 'hr', '--id', 'joined-9', '--type', 'hr.employee.joined', '--data', JSON.stringify(data));
    type Page = { items: { title: string; body: string }[] };
    const inbox = async () => (await server.call<Page>('GET', '/v1/recipients/mia/inbox')).items;
    await eventually(async () => expect(await inbox()).toHaveLength(1));
    const which = ['--topic', 'hr', '--event', 'joined-9'];
    const words = ['--title', 'Mia joins in May', '--body', 'Not now.', '--fact', 'Team=Art'];
    expect(await done('notice', 'update', ...which, ...words)).toBe('1 corrected.\n');
    expect(await inbox()).toMatchObject([{ title: 'Mia joins in May', body: 'Not now.' }]);
    expect(await done('notice', 'recall', ...which, '--reason', 'An error.')).toMatch(/^1 taken back, 0 deliveries/);
    expect(await inbox()).toMatchObject([{ title: 'This notice was withdrawn', body: 'An error.' }]);
    expect(await json('notice', 'recall', ...which)).toEqual({ notices: 0, cancelled: 0, questions: 0 });
    for (const args of [
      ['--topic', 'hr'],
      ['--event', 'e'],
      [...which, '--sequence', '1'],
    ])
      expect((await carillon(['notice', 'recall', ...args])).status).toBe(2);
    expect((await carillon(['notice', 'recall', '--topic', 'hr', '--event', 'none'])).status).toBe(1);
  });

  it('shows, tests and closes conversations', async () => {
    await done('recipient', 'put', 'noa', '--name', 'Noa');
    expect(await done('conversation', 'list', 'noa')).toBe('(none)\n');
    expect(await done('conversation', 'test', 'noa', '--text', 'Can you hear me?')).toMatch(
      /directline +assistant .*posted/,
    );
    const { items } = await json<{ items: { id: string }[] }>('conversation', 'list', 'noa');
    expect(items).toMatchObject([{ standing: true, activities: 1 }]);
    expect(await done('conversation', 'show', 'noa')).toMatch(/carillon +Can you hear me\?/);
    expect(await done('conversation', 'show', 'noa', items[0]!.id)).toMatch(/Can you hear me/);
    expect(await done('conversation', 'places', 'noa')).toBe('(none)\n');
    expect(await done('conversation', 'close', 'noa', items[0]!.id)).toBe('done\n');
    expect(await done('conversation', 'show', 'noa')).toBe('(none)\n');
    expect((await carillon(['conversation', 'close', 'noa', items[0]!.id])).status).toBe(1);
  });

  it('makes links that sign in', async () => {
    const link = (await done('sign-in', 'ada')).trim();
    expect((await fetch(link, { redirect: 'manual' })).headers.get('set-cookie')).toContain('carillon_session');
  });

  it('examines the server', async () => {
    const findings = await json<{ what: string; state: string }[]>('doctor');
    expect(findings.filter(({ state }) => state === 'problem')).toEqual([]);
    expect(findings.map(({ what }) => what)).toEqual(expect.arrayContaining(['node', 'engine', 'disk', 'ready']));
    const problems = async (args: string[]) => {
      const { status, said } = await carillon(['doctor', '--json', ...args]);
      const all = JSON.parse(said) as { what: string; state: string; detail: string }[];
      return [status, ...all.flatMap(({ what, state, detail }) => (state === 'problem' ? [`${what}: ${detail}`] : []))];
    };
    expect(await problems(['--key', 'wrong-key-0123456789'])).toEqual([1, expect.stringMatching(/^key: .* --key/)]);
    const nobody = `http://127.0.0.1:${await freePort()}`;
    expect(await problems(['--url', nobody])).toEqual([1, `ready: No server answers at ${nobody} (ECONNREFUSED).`]);
  });

  it('explains the settings and checks the config file', async () => {
    const settings = await json<{ name: string; from: string }[]>('config', '--explain');
    expect(settings.find(({ name }) => name === 'CARILLON_DATA_DIR')?.from).toBe('environment CARILLON_DATA_DIR');
    expect(await json('config')).toMatchObject({ topics: expect.arrayContaining(['hr']) });
    expect((await carillon(['config', '--config', join(folder, 'none.ts')])).status).toBe(1);
  });

  it('tells refusal, wrong usage and an absent server apart', async () => {
    const absent = { env: { CARILLON_URL: `http://127.0.0.1:${await freePort()}` } };
    const cases: [string[], object, number, RegExp][] = [
      [['topic', 'show', 'none', '--json'], {}, 1, /^\{"error":"refused".*"code":"topic_not_found"/],
      [['topic', 'list', '--key', 'wrong-key-0123456789'], {}, 1, /valid key/],
      [['topic', 'show'], {}, 2, /<topic> is missing.*usage: carillon topic show <topic>/s],
      [['topic'], {}, 2, /topic list, topic show/],
      [['tpoic'], {}, 2, /no command "tpoic"/],
      [['topic', 'list', '--nonsense'], {}, 2, /nonsense/],
      [['send', 'hr', '--type', 't', '--data', '{'], {}, 2, /not JSON/],
      [['simulate', 'crm'], {}, 2, /there are hr, finance, account/],
      [['simulate', 'hr', '--every', 'often'], {}, 2, /--every wants a duration/],
      [['simulate', 'hr', '--count', 'many'], {}, 2, /--count wants a whole number/],
      [['topic', 'list'], absent, 3, /No server answers at http/],
      [['queue', 'update', 'none', '--metadata', 'x'], {}, 1, /no topic or queue "none"/],
      [['queue', 'update', 'none'], {}, 2, /Give a setting/],
      [['queue', 'create', 'bad', '--lock-duration', 'long'], {}, 2, /duration such as 30s/],
      [['queue', 'create', 'bad', '--requires-session', 'yes'], {}, 2, /true or false/],
      [['queue', 'create', 'bad', '--lock-duration', '1h'], {}, 1, /lockDurationMs .* 300000/],
      [['queue', 'create', 'bad', '--settings', '[]'], {}, 2, /--settings is an object/],
      [['queue', 'show', 'bad'], {}, 1, /no topic or queue "bad"/],
      [['rule', 'create', 'hr', 'none', 'r'], {}, 1, /no subscription "none"/],
      [['rule', 'create', 'hr', 's', 'r', '--sql', 'a', '--all'], {}, 2, /one filter/],
      [['rule', 'create', 'hr', 's', 'r', '--correlation', 'site=b'], {}, 2, /no field site.*--property/],
      [['rule', 'create', 'hr', 's', 'r', '--property', 'n:=x'], {}, 2, /behind := stands/],
      [['rule', 'update', 'hr', 's', 'r'], {}, 2, /Give a filter, or --action/],
      [['send', 'hr', '--body', 'x', '--type', 't'], {}, 2, /--type is of an event/],
      [['send', 'hr', '--body', 'x', '--at', 'tomorrow'], {}, 2, /--at wants a time/],
      [['message', 'list', '--topic', 'hr'], {}, 2, /--topic and --subscription, or --queue/],
      [['message', 'receive', '--queue', 'q', '--reason', 'x'], {}, 2, /--as dead-letter/],
      [['message', 'receive', '--queue', 'q', '--as', 'eat'], {}, 2, /complete, abandon, defer/],
      [['message', 'purge', '--queue', 'q'], {}, 2, /Give --all/],
      [['message', 'cancel', 'hr'], {}, 2, /Give --sequence/],
      [['dead-letter', 'redrive', '--all', '--topic', 'hr'], {}, 2, /--topic and --subscription/],
      [['dead-letter', 'list', '--queue', 'q', '--channel', 'email'], {}, 2, /--channel is of deliveries/],
      [['watch', 'ada', '--queue', 'q'], {}, 2, /Give a recipient, or --topic/],
    ];
    for (const [args, options, status, words] of cases) {
      const result = await carillon(args, options);
      expect([args.join(' '), result.status]).toEqual([args.join(' '), status]);
      expect(result.complaint).toMatch(words);
      expect(result.said).toBe('');
    }
  });

  it('has help for every command', async () => {
    const overview = await done('--help');
    for (const { words } of commands) expect(overview).toContain(`  ${words} `);
    for (const words of ['start', 'send', 'dead-letter redrive', 'simulate'])
      expect(await done(...words.split(' '), '--help')).toMatch(/^usage: carillon /);
    for (const group of [
      ['queue', '--help'],
      ['help', 'queue'],
    ])
      expect(await done(...group)).toMatch(/^usage: carillon queue <command>.*queue create {2}Make a queue/s);
    expect(await done('help', 'queue', 'create')).toMatch(/^usage: carillon queue create <queue>/);
  });
});
