// The programs under examples/, as a person would start them.
import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { BusUnderTest } from '../support/service-bus.ts';

let bus: BusUnderTest;
const children: ChildProcess[] = [];
beforeAll(async () => {
  bus = await BusUnderTest.start();
});
afterAll(async () => {
  for (const child of children) child.kill('SIGKILL');
  await bus?.[Symbol.asyncDispose]();
});

function start(program: string): { child: ChildProcess; output: () => string } {
  const env = {
    ...process.env,
    SERVICEBUS_CONNECTION_STRING: bus.connectionString,
    SERVICEBUS_CA_FILE: join(bus.server.dataDir, 'servicebus/ca.pem'),
    EVERY_MS: '200',
  };
  const child = spawn(process.execPath, [`examples/${program}.ts`], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  children.push(child);
  let text = '';
  child.stdout!.on('data', (chunk) => (text += chunk));
  child.stderr!.on('data', (chunk) => (text += chunk));
  return { child, output: () => text };
}

it('the receiver notifies of what the backend system sends', async () => {
  const receiver = start('receiver');
  await eventually(() => expect(receiver.output()).toContain('created subscription'), 20_000);
  const backend = start('backend-system');
  await eventually(
    () => expect(receiver.output().match(/notified: \w+ (joined|left|switched)/g)?.length).toBeGreaterThan(2),
    20_000,
  );
  expect(backend.output()).toContain('sent');
  for (const { child } of [receiver, backend]) {
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGINT');
    expect(await ended).toBe(0);
  }
});
