// Who runs: our drivers on our HTTP/2 client, the same drivers on node:http2, and the libraries that people use today. All do the same
// work: a payload made per push (the libraries' own way where they make it), a push, the outcome noted per device.

import { createECDH, generateKeyPairSync, randomBytes } from 'node:crypto';
import { Agent } from 'node:https';
import apn from '@parse/node-apn';
import webpush from 'web-push';
import { AimGroup, AimList } from '../../src/hub/aim-list.ts';
import { ApnsDriver, type ApnsPlan } from '../../src/hub/drivers/apns.ts';
import type { Driver, PushList } from '../../src/hub/drivers/driver.ts';
import { type FcmCredentials, FcmDriver } from '../../src/hub/drivers/fcm.ts';
import { type WebPushAddress, WebPushDriver } from '../../src/hub/drivers/webpush.ts';
import { WnsDriver } from '../../src/hub/drivers/wns.ts';
import { fanOut, outcomeCode } from '../../src/hub/fan-out.ts';
import type { Http2Options, Transport } from '../../src/hub/http2/port.ts';
import { nodeClient } from '../../src/hub/http2/reference.ts';
import { type Target, Targets } from '../../src/hub/targets.ts';
import { jsonTemplate, sentProperties } from '../../src/hub/template.ts';
import { makeCertificate } from '../../src/kit/certificate.ts';
import { FcmStandin } from '../../test/standins/fcm.ts';
import { WnsStandin } from '../../test/standins/wns.ts';
import type { Sink } from './sinks.ts';

/** `run` pushes for about `ms` and resolves with how many were delivered, once every outcome is in. */
export type Contestant = { readonly name: string; run(ms: number): Promise<number>; stop(): Promise<void> };

const devices = 5000;
const apnsKey = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  .privateKey.export({ type: 'pkcs8', format: 'pem' })
  .toString();
export const apnsCredentials = {
  keyId: 'KEY1234567',
  teamId: 'TEAM123456',
  privateKey: apnsKey,
  bundleId: 'com.example.app',
};
export const vapid = { ...webpush.generateVAPIDKeys(), subject: 'mailto:push@example.com' };
const tokens = Array.from({ length: devices }, () => randomBytes(32).toString('hex'));

const perChunk = 500;

/** Pushes through a driver as fast as it takes them, two chunks at a time as a broadcast does. */
async function pushFor<P>(driver: Driver<P>, plan: P, chunkOf: MakeChunk, ms: number): Promise<number> {
  const end = performance.now() + ms;
  let sent = 0;
  let delivered = 0;
  const pusher = async (): Promise<void> => {
    while (performance.now() < end) {
      const from = sent;
      sent += perChunk;
      const { codes } = await fanOut(driver, plan, chunkOf(from));
      for (const code of codes) if (code === outcomeCode.delivered) delivered += 1;
    }
  };
  await Promise.all([pusher(), pusher()]);
  return delivered;
}

/** The pushes number `from` and following, `perChunk` of them. */
type MakeChunk = (from: number) => PushList;

function targetsOf(address: (n: number) => Target['address'], payload: (n: number) => string): MakeChunk {
  return (from) => {
    const numbers = Array.from({ length: perChunk }, (_, i) => from + i);
    return new Targets(numbers.map((n) => ({ address: address(n % devices), payload: payload(n) })));
  };
}

function contestant<P>(name: string, driver: Driver<P>, plan: P, chunkOf: MakeChunk): Contestant {
  return { name, run: (ms) => pushFor(driver, plan, chunkOf, ms), stop: () => driver.close() };
}

const apnsTemplate = jsonTemplate(
  JSON.stringify({
    aps: { alert: { title: 'Your order', body: "{'Order ' + $(order) + ' is on its way'}" }, sound: 'default' },
    notice: '$(notice)',
  }),
);

type Make = { readonly makeClient?: (options: Http2Options) => Transport };
const onNode: Make = { makeClient: nodeClient };

type ApnsBench = { readonly driver: ApnsDriver; readonly plan: ApnsPlan; target(n: number): Target };

export function apnsDriver(sink: Sink, more: Make = {}): ApnsBench {
  const endpoint = { host: '127.0.0.1', port: sink.port, ca: sink.ca };
  const connection = { maxConnections: 1 };
  const driver = new ApnsDriver({
    credentials: apnsCredentials,
    environment: 'sandbox',
    endpoint,
    connection,
    ...more,
  });
  const payload = (n: number): string => apnsTemplate.render(sentProperties({ order: n, notice: `ntc_${n}` }));
  const target = (n: number): Target => ({ address: tokens[n % devices]!, payload: payload(n) });
  return { driver, plan: driver.plan({ urgency: 'high', ttlSeconds: 3600 }), target };
}

/** Each payload is written where a broadcast writes it. */
export function apns(name: string, sink: Sink, more: Make = {}): Contestant {
  const { driver, plan } = apnsDriver(sink, more);
  const kind = { platform: 'apns', headers: {}, part: '' } as const;
  const chunkOf = (from: number): PushList => {
    const aims = new AimList();
    for (let n = from; n < from + perChunk; n += 1) {
      aims.aimAt(undefined, tokens[n % devices]!, tokens[n % devices]!);
      const start = aims.bytes.length;
      apnsTemplate.write(sentProperties({ order: n, notice: `ntc_${n}` }), aims.bytes);
      aims.add(kind, apnsTemplate, start);
    }
    return new AimGroup(aims, kind, everyPlace);
  };
  return contestant(name, driver, plan, chunkOf);
}

const everyPlace = Array.from({ length: perChunk }, (_, n) => n);

export const apnsOnNode = (name: string, sink: Sink): Contestant => apns(name, sink, onNode);

/** Batches of a thousand: what it takes without losing any. One payload per batch, which is less than the others do. */
export function nodeApn(name: string, sink: Sink): Contestant {
  const { keyId, teamId, privateKey, bundleId } = apnsCredentials;
  const token = { key: Buffer.from(privateKey), keyId, teamId };
  // Its types lack what its code takes: where to connect and whom to trust.
  const provider = new apn.Provider({
    token,
    ...({ address: '127.0.0.1', port: sink.port, ca: sink.ca } as object),
    production: false,
  });
  const run = async (ms: number): Promise<number> => {
    const end = performance.now() + ms;
    let delivered = 0;
    for (let n = 0; performance.now() < end; n += 1) {
      const alert = { title: 'Your order', body: `Order ${n} is on its way` };
      const note = new apn.Notification({
        topic: bundleId,
        pushType: 'alert',
        alert,
        sound: 'default',
        payload: { notice: `ntc_${n}` },
      });
      const from = (n % 5) * 1000;
      delivered += (await provider.send(note, tokens.slice(from, from + 1000))).sent.length;
    }
    return delivered;
  };
  return { name, run, stop: async () => void (await provider.shutdown()) };
}

export type FcmAccount = {
  readonly credentials: FcmCredentials;
  /** Whom to trust for the token. */
  readonly ca: string;
  stop(): Promise<void>;
};

/** An account whose tokens the full stand-in gives out. */
export async function fcmAccount(): Promise<FcmAccount> {
  const standin = await FcmStandin.start({ certificate: makeCertificate() });
  return {
    credentials: { ...standin.account, messagesPerMinute: 1e9 },
    ca: standin.certificate.ca,
    stop: () => standin.stop(),
  };
}

/** The token comes from the full stand-in, once; the messages go to the fast one. */
export async function fcm(name: string, sink: Sink, more: Make = {}): Promise<Contestant> {
  const account = await fcmAccount();
  const driver = new FcmDriver({
    credentials: account.credentials,
    endpoint: { host: '127.0.0.1', port: sink.port, ca: `${account.ca}\n${sink.ca}` },
    connection: { maxConnections: 4 },
    ...more,
  });
  const payload = (n: number): string =>
    JSON.stringify({
      message: {
        notification: { title: 'Your order', body: `Order ${n} is on its way` },
        data: { notice: `ntc_${n}` },
      },
    });
  const made = contestant(
    name,
    driver,
    driver.plan({ urgency: 'high' }),
    targetsOf((n) => tokens[n]!, payload),
  );
  return { ...made, stop: async () => void (await Promise.all([driver.close(), account.stop()])) };
}

export const fcmOnNode = (name: string, sink: Sink): Promise<Contestant> => fcm(name, sink, onNode);

function standinTrust(standin: { readonly certificate: { readonly ca: string } }, sink: Sink): { readonly ca: string } {
  return { ca: `${standin.certificate.ca}\n${sink.ca}` };
}

function subscriptions(port: number): readonly WebPushAddress[] {
  return tokens.map((token) => {
    const p256dh = createECDH('prime256v1').generateKeys().toString('base64url');
    return { endpoint: `https://127.0.0.1:${port}/push/${token}`, p256dh, auth: randomBytes(16).toString('base64url') };
  });
}

const browserPayload = (n: number): string =>
  JSON.stringify({ title: 'Your order', body: `Order ${n} is on its way`, notice: `ntc_${n}` });

export function ownWebPush(name: string, sink: Sink, more: Make & { threads?: number } = {}): Contestant {
  const addresses = subscriptions(sink.port);
  const connection = { maxConnections: 1 };
  const driver = new WebPushDriver({ credentials: vapid, allowPrivate: true, ca: sink.ca, connection, ...more });
  const plan = driver.plan({ urgency: 'high', ttlSeconds: 3600 });
  return contestant(
    name,
    driver,
    plan,
    targetsOf((n) => addresses[n]!, browserPayload),
  );
}

export const webPushOnNode = (name: string, sink: Sink): Contestant => ownWebPush(name, sink, onNode);

/** With a keep-alive agent and 100 in flight: its best. */
export function webPushLibrary(name: string, sink: Sink): Contestant {
  const targets = subscriptions(sink.port).map(({ endpoint, p256dh, auth }) => ({ endpoint, keys: { p256dh, auth } }));
  const agent = new Agent({ keepAlive: true, maxSockets: 100, ca: sink.ca });
  const options = { vapidDetails: vapid, agent, TTL: 3600, urgency: 'high' } as const;
  const run = async (ms: number): Promise<number> => {
    const end = performance.now() + ms;
    let sent = 0;
    const worker = async (): Promise<void> => {
      while (performance.now() < end) {
        const n = sent++;
        await webpush.sendNotification(targets[n % devices]!, browserPayload(n), options);
      }
    };
    await Promise.all(Array.from({ length: 100 }, worker));
    return sent;
  };
  return { name, run, stop: async () => agent.destroy() };
}

export async function wns(name: string, sink: Sink): Promise<Contestant> {
  const standin = await WnsStandin.start({ certificate: makeCertificate() });
  const { ca } = standinTrust(standin, sink);
  const driver = new WnsDriver({
    credentials: standin.credentials,
    tokenUrl: standin.tokenUrl,
    allowedHosts: [`127.0.0.1:${sink.port}`],
    ca,
  });
  const plan = driver.plan({ headers: { 'X-WNS-Type': 'wns/toast' } });
  const payload = (n: number): string =>
    `<toast><visual><binding template="ToastGeneric"><text>Order ${n}</text></binding></visual></toast>`;
  const address = (n: number): string => `https://127.0.0.1:${sink.port}/w/?token=${tokens[n]}`;
  const made = contestant(name, driver, plan, targetsOf(address, payload));
  return { ...made, stop: async () => void (await Promise.all([driver.close(), standin.stop()])) };
}
