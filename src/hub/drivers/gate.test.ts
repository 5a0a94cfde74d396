import { expect, test } from 'vitest';
import type { PushSignal } from './driver.ts';
import { Gate } from './gate.ts';
import { movableClock } from './testing.ts';

function open() {
  const clock = movableClock();
  const signals: PushSignal[] = [];
  const gate = new Gate('apns', (signal) => void signals.push(signal), clock.now, 60_000);
  return { clock, gate, names: () => signals.map(({ name }) => name) };
}

test('says how it stands: untried, running, stopped since when and until the next probe, running again', () => {
  const { clock, gate, names } = open();
  expect(gate.state()).toEqual({ kind: 'untried' });
  gate.taken();
  expect(gate.state()).toEqual({ kind: 'running' });
  const since = new Date(clock.now());
  gate.stop('InvalidProviderToken');
  const until = new Date(clock.now() + 60_000);
  expect(gate.state()).toEqual({ kind: 'stopped', cause: 'InvalidProviderToken', since, until });
  clock.pass(60_000);
  expect(gate.closed()).toBeUndefined();
  gate.stop('InvalidProviderToken');
  expect(gate.state()).toMatchObject({ kind: 'stopped', since, until: new Date(clock.now() + 60_000) });
  gate.taken();
  expect(gate.state()).toEqual({ kind: 'running' });
  expect(names()).toEqual(['push.lane-stopped', 'push.lane-resumed']);
});

test('a pause is told once, however many pushes meet it, and is over by itself', () => {
  const { clock, gate, names } = open();
  gate.taken();
  for (let i = 0; i < 5; i += 1) gate.pause('TooManyProviderTokenUpdates', 30_000);
  const until = new Date(clock.now() + 30_000);
  expect(gate.state()).toEqual({ kind: 'paused', cause: 'TooManyProviderTokenUpdates', until });
  expect(names()).toEqual(['push.lane-paused']);
  clock.pass(30_000);
  expect(gate.state()).toEqual({ kind: 'running' });
});
