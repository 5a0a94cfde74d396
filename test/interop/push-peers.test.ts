// The push stand-ins against the libraries that people use with the real services: what they accept from those, our drivers must send too,
// and a stand-in that only understood our drivers would prove nothing.

import apn from '@parse/node-apn';
import { afterAll, beforeAll, expect, test } from 'vitest';
import webpush from 'web-push';
import { type Standins, startStandins } from '../standins/start.ts';

let standins: Standins;

beforeAll(async () => {
  standins = await startStandins();
});

afterAll(() => standins.stop());

test('@parse/node-apn delivers to the APNs stand-in and learns of a dead device', async () => {
  const { credentials, service } = standins.apns;
  const provider = new apn.Provider({
    token: { key: Buffer.from(credentials.privateKey), keyId: credentials.keyId, teamId: credentials.teamId },
    // Its types lack what its code takes: where to connect and whom to trust.
    ...({ address: '127.0.0.1', port: service.port, ca: standins.certificate.ca } as object),
    production: false,
  });
  const note = new apn.Notification({
    topic: credentials.bundleId,
    pushType: 'alert',
    alert: { title: 'Hello', body: 'World' },
  });
  // One after the other: it does not wait for the stream limit of a new connection, and would lose the second of two.
  const taken = await provider.send(note, 'ab'.repeat(32));
  const dead = await provider.send(note, 'dead'.padEnd(64, '0'));
  expect(taken.sent.map(({ device }) => device)).toEqual(['ab'.repeat(32)]);
  expect(dead.failed.map(({ status, response }) => [Number(status), response?.reason])).toEqual([
    [410, 'Unregistered'],
  ]);
  expect(standins.apns.pushes.items[0]?.payload).toEqual({ aps: { alert: { title: 'Hello', body: 'World' } } });
  await provider.shutdown();
});

test('web-push delivers to the Web Push stand-in, which reads it', async () => {
  const keys = webpush.generateVAPIDKeys();
  const subscription = standins.webpush.subscribe('ada', keys.publicKey);
  const { Agent } = await import('node:https');
  const agent = new Agent({ ca: standins.certificate.ca });
  const vapidDetails = { subject: 'mailto:a@example.com', ...keys };
  const answer = await webpush.sendNotification(subscription, 'grüße', {
    vapidDetails,
    agent,
    TTL: 60,
    urgency: 'high',
    topic: 't',
  });
  expect(answer.statusCode).toBe(201);
  expect(standins.webpush.shown('ada')).toMatchObject([{ text: 'grüße', ttl: 60, urgency: 'high', topic: 't' }]);
  const gone = webpush.sendNotification(standins.webpush.subscribe('gone-1', keys.publicKey), 'x', {
    vapidDetails,
    agent,
  });
  await expect(gone).rejects.toMatchObject({ statusCode: 410 });
  agent.destroy();
});
