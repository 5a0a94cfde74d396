// Sends: to tags, to everybody, to one address, as a test, for later; and what became of them.

import { createHash } from 'node:crypto';
import type { Aim } from '../../hub/aim-list.ts';
import { aimsAt, directAims, type Message } from '../../hub/aims.ts';
import { checkMessage } from '../../hub/message.ts';
import { pushAims } from '../../hub/push.ts';
import { readPushPage } from '../../hub/push-page.ts';
import { cancelSend, enqueueSend, findSend, type SendJob } from '../../hub/sends.ts';
import { noTagLimits, parseTagExpression } from '../../hub/tags.ts';
import { DoorError, detailsXml, outcomeXml } from './answers.ts';
import type { Answer, Call, HubDoorDeps, Operation } from './door.ts';
import { readBatch, readHandle, readMessage, readSchedule, readTags } from './read-send.ts';

export const sendOperations: readonly Operation[] = [
  { method: 'POST', kind: 'messages', rest: 'none', right: 'Send', run: post },
  { method: 'POST', kind: 'messages', rest: 'some', right: 'Send', run: postBatch },
  { method: 'GET', kind: 'messages', rest: 'some', right: 'Manage', run: telemetry },
  { method: 'POST', kind: 'schedulednotifications', rest: 'none', right: 'Send', run: schedule },
  { method: 'DELETE', kind: 'schedulednotifications', rest: 'some', right: 'Send', run: cancel },
];

async function post(deps: HubDoorDeps, call: Call): Promise<Answer> {
  const job = await readJob(deps, call);
  if (isOn(call, 'test')) return testSend(deps, call, job);
  return enqueue(deps, call, job);
}

/** One notification to many addresses, as two parts: the notification and the list. */
async function postBatch(deps: HubDoorDeps, call: Call): Promise<Answer> {
  if (call.rest !== '$batch') throw new DoorError(404, 'There is nothing at this path.');
  const limits = deps.admin.sendLimits;
  const { notification, addresses } = readBatch(call.headers['content-type'] ?? '', call.body, limits);
  const message = await checkMessage(deps, call.hub, readMessage(call.headers, notification, limits));
  if (message.kind === 'template') throw new DoorError(400, 'A template cannot be sent to an address.');
  if (message.platform === 'browser')
    throw new DoorError(400, 'A browser has more than an address: send to one at a time.');
  return enqueue(deps, call, { message, to: addresses });
}

async function schedule(deps: HubDoorDeps, call: Call): Promise<Answer> {
  return enqueue(deps, call, await readJob(deps, call), readSchedule(call.headers));
}

async function cancel({ database, now }: HubDoorDeps, { hub, rest }: Call): Promise<Answer> {
  if (!(await cancelSend(database, hub, rest, now())))
    throw new DoorError(404, 'There is no scheduled notification of this id.');
  return { status: 200 };
}

async function telemetry({ database }: HubDoorDeps, { hub, rest, origin }: Call): Promise<Answer> {
  const send = await findSend(database, hub, rest);
  if (send === undefined) throw new DoorError(404, 'There is no notification of this id.');
  return { status: 200, body: detailsXml(send, origin) };
}

async function readJob(deps: HubDoorDeps, call: Call): Promise<SendJob> {
  const { tagLimits, sendLimits } = deps.admin;
  const message = await checkMessage(deps, call.hub, readMessage(call.headers, call.body, sendLimits));
  if (!isOn(call, 'direct'))
    return { message, tags: readTags(call.headers, tagLimits, { isTest: isOn(call, 'test') }) };
  if (message.kind === 'template') throw new DoorError(400, 'A template cannot be sent to an address.');
  return { message, to: [readHandle(call.headers, message)] };
}

async function enqueue(deps: HubDoorDeps, call: Call, job: SendJob, dueAt?: Date): Promise<Answer> {
  const { hub, headers, origin } = call;
  const { daysAhead } = deps.admin.sendLimits;
  const id = await enqueueSend(deps.database, hub, job, deps.now(), {
    requestId: requestIdOf(headers),
    dueAt,
    daysAhead,
  });
  deps.wake();
  const kind = dueAt === undefined ? 'messages' : 'schedulednotifications';
  const location = `${origin}/${encodeURIComponent(hub)}/${kind}/${id}?api-version=2020-06`;
  return { status: 201, headers: { Location: location } };
}

/** The same text is the same request; a long one is kept as its hash. */
function requestIdOf(headers: Call['headers']): string | undefined {
  const given = headers['x-ms-client-request-id'];
  if (typeof given !== 'string' || given === '') return undefined;
  return given.length <= 200 ? given : createHash('sha256').update(given).digest('base64url');
}

/** To a few devices, and the answer says at once what each came to. */
async function testSend(deps: HubDoorDeps, { hub, origin }: Call, job: SendJob): Promise<Answer> {
  const aims = job.to ? directAims(job.message, job.to) : await testAims(deps, hub, job.message, job.tags);
  const pushed = await pushAims(deps, hub, aims);
  const location = `${origin}/${encodeURIComponent(hub)}/messages/test?api-version=2020-06`;
  return { status: 201, body: outcomeXml(pushed), headers: { Location: location } };
}

async function testAims(
  { database, admin, now }: HubDoorDeps,
  hub: string,
  message: Message,
  tags: string | undefined,
): Promise<Aim[]> {
  const expression = tags === undefined ? undefined : parseTagExpression(tags, noTagLimits);
  const platform = message.kind === 'native' ? message.platform : undefined;
  const range = { after: '', limit: 1_000 };
  const page = await readPushPage(database, { hub, platform, expression }, range, now());
  return page
    .devices()
    .flatMap((device) => aimsAt(message, expression, device))
    .slice(0, admin.sendLimits.testDevices);
}

/** `?test`, `?test=true`. */
function isOn({ query }: Call, flag: string): boolean {
  const value = query.get(flag)?.toLowerCase();
  return value === '' || value === 'true';
}
