// What a mail server can do to us, by a real one on a real port: nothing is lost, and nothing is sent twice except what
// was being sent at the very moment that a process died, and that with the same Message-ID.
import { type ChildProcess, spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { Dispatcher, type DispatcherDeps } from '../../src/deliveries/dispatcher.ts';
import { planDeliveries } from '../../src/deliveries/plan.ts';
import type { LanePolicy } from '../../src/deliveries/policy.ts';
import type { GoneEndpoint } from '../../src/deliveries/settle.ts';
import type { DeliverySignal } from '../../src/deliveries/signals.ts';
import { EmailChannel, type EmailOptions, emailPolicy } from '../../src/email/channel.ts';
import { useDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';
import { MailServer, Reply } from '../support/mail-server.ts';
import { ManualClock } from '../support/manual-clock.ts';

const MINUTE = 60_000;

/** A generator whose seed is printed, so that a failure can be repeated (mulberry32). */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

describe('mail and its server', () => {
  const { database, url: databaseUrl } = useDatabase();
  const cleanUp: (() => unknown)[] = [];

  afterEach(async () => {
    for (const clean of cleanUp.splice(0).reverse()) await clean();
    await database.query('delete from delivery');
  });

  async function mailServer(hooks: MailServer['hooks'] = {}): Promise<MailServer> {
    const server = await MailServer.start(hooks);
    cleanUp.push(() => server.kill());
    return server;
  }

  function dispatch(smtpUrl: string, more: Partial<DispatcherDeps & EmailOptions & LanePolicy> = {}) {
    const clock = new ManualClock(Date.now());
    const signals: DeliverySignal[] = [];
    const channel = new EmailChannel({
      smtpUrl,
      from: 'carillon@carillon.example',
      publicUrl: 'https://carillon.example',
      unsubscribeKeys: [Buffer.alloc(32, 1)],
      letters: async (deliveries) =>
        new Map(
          deliveries.map(({ id, noticeId, recipientId }) => [
            id,
            { card: { title: noticeId }, category: 'test', noticeId, recipientId },
          ]),
        ),
      ...more,
    });
    const policy = { email: { ...emailPolicy, ...more } };
    const emit = (signal: DeliverySignal) => void signals.push(signal);
    const deps = { database, channels: [channel], emit, clock, dice: Math.random, ...more };
    const dispatcher = Dispatcher.start({ ...deps, policy });
    cleanUp.push(async () => {
      await dispatcher.stop();
      channel.stop();
    });
    const of = <N extends DeliverySignal['name']>(name: N) =>
      signals.filter((signal): signal is Extract<DeliverySignal, { name: N }> => signal.name === name);
    return { dispatcher, clock, signals, of };
  }

  /** Plans one mail for each name, due now. */
  async function plan(names: readonly string[]): Promise<void> {
    const rest = { channel: 'email' as const, dueAt: new Date(Date.now() - 1), urgency: 'normal' as const };
    const plans = names.map((name) => ({
      noticeId: `ntc_${name}`,
      recipientId: name,
      endpoint: `${name}@example.org`,
      ...rest,
    }));
    await database.transaction((tx) => planDeliveries(tx, plans));
  }

  const names = (prefix: string, count: number) => Array.from({ length: count }, (_, i) => `${prefix}-${i}`);
  const left = async () => (await database.query<{ n: number }>('select count(*) as n from delivery'))[0]!.n;
  const expectEachOnce = (server: MailServer, count: number) => {
    expect(server.messageIds).toHaveLength(count);
    expect(new Set(server.messageIds).size).toBe(count);
  };

  it('gets every mail through a server that refuses a third of everything for now, each once', async () => {
    const seed = randomInt(2 ** 31);
    console.info(`seed ${seed}`);
    const dice = seeded(seed);
    const maybe = (reply: Reply) => {
      if (dice() < 0.18) throw reply;
    };
    const server = await mailServer({
      onRecipient: () => maybe(new Reply(451, '4.7.1 Greylisted')),
      onMail: () => maybe(new Reply(452, '4.3.1 Insufficient storage')),
    });
    await plan(names('transient', 150));
    const { clock, of } = dispatch(server.url);
    await eventually(async () => {
      clock.advance(30_000);
      expect(await left()).toBe(0);
    }, 60_000);
    expectEachOnce(server, 150);
    expect(of('delivery.attempted').filter((signal) => signal.outcome === 'retry').length).toBeGreaterThan(10);
  });

  it('keeps what is refused for good, drops what has no mailbox, and sends the rest', async () => {
    const server = await mailServer({
      onRecipient: (address) => {
        if (address.startsWith('nobody')) throw new Reply(550, '5.1.1 User unknown');
        if (address.startsWith('blocked')) throw new Reply(554, '5.7.1 Blocked');
      },
    });
    const gone: GoneEndpoint[] = [];
    await plan([...names('nobody', 5), ...names('blocked', 5), ...names('fine', 20)]);
    const { of } = dispatch(server.url, { markGone: async (_tx, endpoints) => void gone.push(...endpoints) });
    await eventually(() => expect(of('delivery.attempted')).toHaveLength(30));
    expectEachOnce(server, 20);
    expect(gone.map((each) => each.endpoint).sort()).toEqual(names('nobody', 5).map((name) => `${name}@example.org`));
    expect(await database.query('select state, cause, count(*) as n from delivery group by 1, 2')).toEqual([
      { state: 'dead', cause: 'smtp_554_5.7.1', n: 5 },
    ]);
  });

  it('loses nothing and sends nothing twice while the server is dead for ten minutes', async () => {
    const server = await mailServer();
    const { dispatcher, clock, of } = dispatch(server.url);
    await plan(names('before', 40));
    dispatcher.wake();
    await eventually(() => expect(server.accepted.length).toBeGreaterThan(5));
    await server.kill();
    await plan(names('during', 60));
    dispatcher.wake();
    await eventually(() => expect(of('lane.paused').length).toBeGreaterThan(0));
    const counted = () => of('delivery.attempted').filter((signal) => signal.outcome !== 'delivered').length;
    const countedBefore = counted();
    for (const end = clock.now() + 10 * MINUTE; clock.now() < end; ) {
      const probes = of('lane.paused').length;
      clock.advance(30_000);
      await eventually(() => expect(of('lane.paused').length).toBeGreaterThan(probes));
    }
    expect(counted()).toBe(countedBefore); // the outage itself burnt no attempt
    expect(of('lane.paused').length).toBeLessThan(40); // and was not hammered

    await server.start();
    await eventually(async () => {
      clock.advance(30_000);
      expect(await left()).toBe(0);
    }, 30_000);
    expect(of('lane.resumed').length).toBeGreaterThan(0);
    expect(new Set(server.messageIds).size).toBe(100);
    // Only a mail whose acceptance was cut off by the kill itself may come again: at most one per connection.
    const repeated = server.accepted.length - 100;
    console.info(`100 mails, ${of('lane.paused').length} probes in ten minutes, ${repeated} repeated, 0 lost`);
    expect(repeated).toBeLessThanOrEqual(5);
  });

  it('does not let a mail that the server chokes on hold up the others, nor count it as an outage', async () => {
    const server = await mailServer({
      onMail: (mail) => (mail.to[0]!.startsWith('choke') ? new Promise<void>(() => {}) : undefined),
    });
    await plan([...names('choke', 1), ...names('fine', 40)]);
    const { of } = dispatch(server.url, { sendTimeoutMs: 2_000 });
    await eventually(() => expect(server.accepted).toHaveLength(40));
    await eventually(() => expect(of('delivery.attempted')).toHaveLength(41));
    expect(of('delivery.attempted').filter((signal) => signal.outcome === 'retry')).toMatchObject([
      { cause: 'smtp_timeout' },
    ]);
    expect(of('lane.paused')).toEqual([]);
  });

  it('waits patiently for a server that is slow, and sends no second copy', async () => {
    const server = await mailServer({ onMail: () => pause(150) });
    await plan(names('slow', 20));
    const { clock } = dispatch(server.url, { leaseMs: 3_000 });
    await eventually(async () => {
      clock.advance(1_000); // each step is a third of the lease: it must be renewed all the time
      expect(await left()).toBe(0);
    });
    expectEachOnce(server, 20);
  });

  it('stops with an alarm when its password no longer works, and goes on once it does', async () => {
    let locked = true;
    const server = await mailServer({ login: () => !locked });
    await plan(names('locked', 10));
    const { dispatcher, clock, of } = dispatch(server.url.replace('//', '//me:secret@'));
    await eventually(() => expect(of('lane.paused')).toMatchObject([{ alarm: true, cause: 'smtp_auth' }]));
    expect(dispatcher.states()).toEqual([{ channel: 'email', state: 'alarm' }]);
    locked = false;
    await eventually(async () => {
      clock.advance(5 * MINUTE);
      expect(await left()).toBe(0);
    });
    expectEachOnce(server, 10);
    expect(of('delivery.attempted').every((signal) => signal.outcome === 'delivered')).toBe(true);
  });

  it('repeats a mail whose acceptance it never heard of, with the same Message-ID', async () => {
    let cut = true;
    const server = await mailServer({
      onMail: (mail) => {
        if (!cut) return;
        cut = false;
        server.accepted.push(mail); // taken, and then the line goes dead before the reply
        server.cutAll();
      },
    });
    await plan(['doubt']);
    const { clock } = dispatch(server.url);
    await eventually(async () => {
      clock.advance(MINUTE);
      expect(await left()).toBe(0);
    });
    expect(server.messageIds.length).toBeGreaterThanOrEqual(2);
    expect(new Set(server.messageIds).size).toBe(1);
  });

  it('survives cut database connections: outcomes are kept until they are stored, nothing is sent twice', async () => {
    const server = await mailServer({ onMail: () => pause(5) });
    await plan(names('cut', 200));
    const { clock, of } = dispatch(server.url);
    for (let cuts = 0; cuts < 8; cuts++) {
      const before = server.accepted.length;
      await eventually(() => {
        clock.advance(1_000);
        expect(server.accepted.length).toBeGreaterThan(before);
      });
      await database
        .query(
          `select pg_terminate_backend(pid) from pg_stat_activity
           where datname = current_database() and pid <> pg_backend_pid()`,
        )
        .catch(() => {});
    }
    await eventually(async () => {
      clock.advance(1_000);
      expect(await left()).toBe(0);
    }, 30_000);
    expectEachOnce(server, 200);
    expect(of('lane.failed').length).toBeGreaterThan(0);
  });

  it('a killed process repeats at most what it was sending when it died', async () => {
    const seed = randomInt(2 ** 31);
    const dice = seeded(seed);
    const server = await mailServer({ onMail: () => pause(10) });
    const total = 600;
    await plan(names('killed', total));
    const kills = 4;
    for (let i = 0; i < kills; i++) {
      const worker = await startWorker(server.url);
      const goal = server.accepted.length + 20 + Math.floor(dice() * 60);
      await eventually(() => expect(server.accepted.length).toBeGreaterThanOrEqual(goal), 20_000);
      worker.kill('SIGKILL');
      await once(worker, 'exit');
    }
    const last = await startWorker(server.url);
    await eventually(async () => expect(await left()).toBe(0), 60_000);
    last.kill('SIGTERM');
    const [code] = (await once(last, 'exit')) as [number];
    const repeated = server.messageIds.length - new Set(server.messageIds).size;
    console.info(`seed ${seed}: ${total} mails, ${kills} kills, ${repeated} repeated, 0 lost`);
    expect(code).toBe(0);
    expect(new Set(server.messageIds).size).toBe(total);
    expect(repeated).toBeLessThanOrEqual(kills * 10); // the lane's concurrency
  });

  async function startWorker(smtpUrl: string): Promise<ChildProcess> {
    const script = new URL('mail-worker.ts', import.meta.url).pathname;
    const worker = spawn(process.execPath, [script, databaseUrl, smtpUrl], { stdio: ['ignore', 'pipe', 'inherit'] });
    cleanUp.push(() => worker.kill('SIGKILL'));
    await once(worker.stdout!, 'data');
    return worker;
  }
});
