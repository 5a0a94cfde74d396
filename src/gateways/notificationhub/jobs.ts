// Jobs: imports and exports of registrations in bulk. Files lie with the hub itself, under /{hub}/files/.

import { checkFilePath } from '../../hub/files.ts';
import { findJob, type Job, type JobType, jobFile, jobTypes, listJobs, submitJob } from '../../hub/jobs.ts';
import { child, childText, parseXml, tag, textTag } from '../../kit/xml.ts';
import { connectNamespace, DoorError } from './answers.ts';
import { atomEntry, atomFeed, entryType, feedType } from './atom.ts';
import type { Answer, Call, HubDoorDeps, Operation } from './door.ts';

const loopback = new Set(['localhost', '127.0.0.1', '[::1]']);

export const jobOperations: readonly Operation[] = [
  { method: 'POST', kind: 'jobs', rest: 'none', right: 'Manage', run: submit },
  { method: 'GET', kind: 'jobs', rest: 'some', right: 'Manage', run: get },
  { method: 'GET', kind: 'jobs', rest: 'none', right: 'Manage', run: list },
];

async function submit({ database, now, wakeJobs }: HubDoorDeps, call: Call): Promise<Answer> {
  const description = child(child(parseXml(call.body), 'content'), 'NotificationHubJob');
  if (description === undefined) throw new DoorError(400, 'The body holds no NotificationHubJob.');
  const type = readType(childText(description, 'Type'));
  const outputUri = childText(description, 'OutputContainerUri')?.trim();
  if (outputUri === undefined || outputUri === '') throw new DoorError(400, 'OutputContainerUri is missing.');
  checkOwn(call, outputUri);
  const inputUri = childText(description, 'ImportFileUri')?.trim();
  const isImport = type !== 'ExportRegistrations';
  if (isImport && !inputUri) throw new DoorError(400, 'An import needs an ImportFileUri.');
  const input = isImport ? { inputUri, inputPath: pathOf(call, inputUri!) } : {};
  const job = await submitJob(database, { hub: call.hub, type, form: 'registration', outputUri, ...input }, now());
  wakeJobs();
  const headers = { Location: addressOf(job, call.origin) };
  return { status: 201, body: printJob(job, call.origin), type: entryType, headers };
}

async function get({ database }: HubDoorDeps, { hub, rest, origin }: Call): Promise<Answer> {
  const job = await findJob(database, hub, rest);
  if (job === undefined) throw new DoorError(404, 'There is no job of this id.');
  return { status: 200, body: printJob(job, origin), type: entryType };
}

async function list({ database }: HubDoorDeps, { hub, origin }: Call): Promise<Answer> {
  const entries = (await listJobs(database, hub)).map((job) => printJob(job, origin));
  const id = `${origin}/${encodeURIComponent(hub)}/jobs`;
  return { status: 200, body: atomFeed('Jobs', id, entries), type: feedType };
}

function readType(text: string | undefined): JobType {
  const found = jobTypes.find((type) => type.toLowerCase() === text?.trim().toLowerCase());
  if (found === undefined) throw new DoorError(400, `There is no type of job "${text ?? ''}".`);
  return found;
}

/** The path of a file of this hub. An address elsewhere is refused: the server fetches nothing for anybody. */
function pathOf(call: Call, uri: string): string {
  const path = checkOwn(call, uri);
  if (path === '') throw new DoorError(400, 'ImportFileUri names no file.');
  return checkFilePath(path);
}

/** What follows after the files of this hub. */
function checkOwn({ hub, origin }: Call, uri: string): string {
  const found = /^\/(?:v1\/hubs\/)?([^/]+)\/files(?:\/(.*))?$/.exec(ownPath(uri, origin));
  const own = `${origin}/${encodeURIComponent(hub)}/files`;
  if (found === null || found[1]!.toLowerCase() !== hub.toLowerCase())
    throw new DoorError(400, `Files of jobs lie with the hub itself: give ${own} or a file below it, not "${uri}".`);
  return (found[2] ?? '').replace(/\/+$/, '');
}

/** Decoded; empty for what is no address of this server, on whichever of its ports. */
function ownPath(uri: string, origin: string): string {
  try {
    const [given, own] = [new URL(uri), new URL(origin)];
    const same = given.hostname === own.hostname || [given, own].every(({ hostname }) => loopback.has(hostname));
    return same ? decodeURIComponent(given.pathname) : '';
  } catch {
    return '';
  }
}

function addressOf({ hub, id }: Job, origin: string): string {
  return `${origin}/${encodeURIComponent(hub)}/jobs/${id}?api-version=2020-06`;
}

function printJob(job: Job, origin: string): string {
  const fresh = job.state === 'Started';
  const parts = [
    textTag('JobId', job.id),
    textTag('Progress', fresh ? undefined : percentOf(job)),
    textTag('Type', job.type),
    textTag('Status', fresh ? undefined : job.state),
    textTag('OutputContainerUri', job.outputUri),
    textTag('ImportFileUri', job.inputUri),
    textTag('Failure', job.failure),
    fresh ? '' : printOutput(job, origin),
    textTag('CreatedAt', job.createdAt.toISOString()),
    textTag('UpdatedAt', job.updatedAt.toISOString()),
  ];
  const content = tag('NotificationHubJob', parts.join(''), connectNamespace);
  return atomEntry({ id: addressOf(job, origin), title: job.id, from: job.createdAt, to: job.updatedAt, content });
}

/** JavaScript's client looks for the prefix itself, so it must be this one. */
function printOutput(job: Job, origin: string): string {
  const base = `${origin}/${encodeURIComponent(job.hub)}/files/`;
  const properties = {
    OutputFilePath: `${base}${jobFile(job, 'Output.txt')}`,
    FailedFilePath: `${base}${jobFile(job, 'Failed.txt')}`,
  };
  const pairs = Object.entries(properties).map(([name, value]) =>
    tag('d3p1:KeyValueOfstringstring', textTag('d3p1:Key', name) + textTag('d3p1:Value', value)),
  );
  const namespace = 'xmlns:d3p1="http://schemas.microsoft.com/2003/10/Serialization/Arrays"';
  return tag('OutputProperties', pairs.join(''), namespace);
}

function percentOf({ lines, total, state }: Job): string {
  if (state === 'Completed') return '100.00';
  return total === 0 ? '0.00' : ((lines / total) * 100).toFixed(2);
}
