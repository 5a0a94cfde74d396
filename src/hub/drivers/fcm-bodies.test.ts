// What is added to one message of a form holds for all of them: each body says what it would, had its message been read by itself.
import { expect, test } from 'vitest';
import { AimGroup, AimList } from '../aim-list.ts';
import { Bytes } from '../bytes.ts';
import { Targets } from '../targets.ts';
import { jsonTemplate, sentProperties } from '../template.ts';
import type { PushList } from './driver.ts';
import { FcmBodies, type FcmPlan } from './fcm-bodies.ts';

const devices = [
  { token: 'first', name: 'Ada', count: '1' },
  { token: 'sec"ond\\', name: 'B"ob', count: '2.50' },
  { token: 'third', name: '"},"android":{"ttl":"1s"}', count: 'many' },
  { token: 'fünf', name: '', count: '1e3' },
];
const templates = [
  '{"message":{"notification":{"title":"$(name)"},"data":{"name":"$(name)","n":"$(count)"}}}',
  '{"message":{"data":{"n":"#(count)","1":"$(name)"}}}',
  '{"message":{"android":{"priority":"NORMAL","notification":{"icon":"$(name)"}},"notification":{"title":"Hi"}}}',
  '{"message":{"android":{"ttl":"1s","priority":"HIGH"}}}',
  '{"message":{"topic":"$(name)","notification":{"title":"Hi"},"apns":{"headers":{"apns-priority":"5"}}}}',
  '{"message":{"data":{"a":"$(name)"}},"validate_only":"$(count)","x":{"y":{}}}',
  '{"data":{"name":"$(name)"}}',
  '{"message":{}}',
];
const plans: readonly FcmPlan[] = [
  { android: {}, collapseId: undefined },
  { android: { priority: 'HIGH', ttl: '1s' }, collapseId: undefined },
  { android: { priority: 'HIGH' }, collapseId: 'order' },
];

function bodiesOf(plan: FcmPlan, list: PushList): unknown[] {
  const bodies = new FcmBodies(plan, list);
  return Array.from({ length: list.length }, (_, index) => {
    const refused = bodies.prepare(index);
    if (refused !== undefined) return refused;
    const out = new Bytes(bodies.bytesOf(index));
    bodies.write(index, out, 0);
    return JSON.parse(out.slice(0, bodies.bytesOf(index)));
  });
}

test.each(templates)('%s: all as if each was read', (body) => {
  const template = jsonTemplate(body);
  const kind = { platform: 'fcmv1', headers: {}, part: 't' } as const;
  const aims = new AimList();
  for (const { token, ...properties } of devices) {
    aims.aimAt(token, token, token);
    const start = aims.bytes.length;
    template.write(sentProperties(properties), aims.bytes);
    aims.add(kind, template, start);
  }
  const together = new AimGroup(aims, kind, [...devices.keys()]);
  const oneByOne = new Targets(aims.all().map(({ address, payload }) => ({ address, payload })));
  for (const plan of plans) expect(bodiesOf(plan, together)).toEqual(bodiesOf(plan, oneByOne));
});
