// Imports and exports of devices, and their files.
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { Type } from 'typebox';
import {
  checkFilePath,
  deleteFile,
  type FileInfo,
  fileInfo,
  listFiles,
  readFile,
  writeFile,
  writePart,
} from '../../../hub/files.ts';
import { getHub } from '../../../hub/hub-admin.ts';
import { findJob, type Job, type JobType, jobFile, listJobs, submitJob } from '../../../hub/jobs.ts';
import { mostPartBytes } from '../../../hub/parts.ts';
import { Refusal } from '../../../kit/refusal.ts';
import type { App } from '../app.ts';
import { onHub } from '../identity.ts';
import { Nullable, responses, Time } from '../schemas.ts';
import { HubParams } from './devices.ts';
import type { HubDeps } from './hubs.ts';

const modes = ['create', 'update', 'upsert', 'delete'] as const;
const types: Readonly<Record<(typeof modes)[number], JobType>> = {
  create: 'ImportCreateRegistrations',
  update: 'ImportUpdateRegistrations',
  upsert: 'ImportUpsertRegistrations',
  delete: 'ImportDeleteRegistrations',
};
const JobInput = Type.Object(
  {
    type: Type.Enum(['import', 'export']),
    mode: Type.Enum([...modes], { default: 'upsert', description: 'Of an import.' }),
    file: Type.Optional(Type.String({ maxLength: 200, description: 'Of an import: a file of this hub.' })),
    form: Type.Enum(['device', 'registration'], {
      default: 'device',
      description: "A line of the file: a device as JSON, or a registration in Azure's XML.",
    }),
  },
  { additionalProperties: false, examples: [{ type: 'import', file: 'phones.jsonl' }] },
);
const JobSchema = Type.Object({
  id: Type.String(),
  type: Type.Enum(['import', 'export']),
  mode: Nullable(Type.Enum([...modes])),
  form: Type.Enum(['device', 'registration']),
  state: Type.Enum(['Started', 'Running', 'Completed', 'Failed']),
  lines: Type.Integer({ description: 'Done so far.' }),
  failed: Type.Integer({ description: 'Of them in vain; `failedFile` says why.' }),
  total: Type.Integer(),
  file: Nullable(Type.String({ description: 'What an import reads.' })),
  failure: Nullable(Type.String()),
  outputFile: Type.String(),
  failedFile: Nullable(Type.String()),
  createdAt: Time(),
  updatedAt: Time(),
});
const FileSchema = Type.Object({
  path: Type.String(),
  bytes: Type.Integer(),
  lines: Type.Integer(),
  parts: Type.Integer(),
  whole: Type.Boolean(),
  createdAt: Time(),
});
const JobParams = Type.Object({ ...HubParams.properties, job: Type.String({ maxLength: 100 }) });
const FileParams = Type.Object({ ...HubParams.properties, '*': Type.String({ maxLength: 200 }) });

export function hubJobRoutes(app: App, { hubs }: HubDeps): void {
  const { admin, wakeJobs } = hubs;
  const { database, now } = admin;
  const path = '/v1/hubs/:hub/jobs';
  app.post(path, { config: { access: onHub('manage') }, schema: submitSchema }, async ({ params, body }, reply) => {
    await getHub(database, admin.key, params.hub);
    const { type, mode, form, file } = body;
    if (type === 'import' && file === undefined) throw new Refusal('bad_request', 'An import needs `file`.');
    const input = type === 'import' ? { inputPath: checkFilePath(file!) } : {};
    const jobType = type === 'export' ? 'ExportRegistrations' : types[mode];
    const job = await submitJob(database, { hub: params.hub, type: jobType, form, ...input }, now());
    wakeJobs();
    return reply.code(202).send(shown(job));
  });
  app.get(path, { config: { access: onHub('manage') }, schema: listSchema }, async ({ params }) => ({
    items: (await listJobs(database, params.hub)).map(shown),
  }));
  app.get(`${path}/:job`, { config: { access: onHub('manage') }, schema: getSchema }, async ({ params }) => {
    const job = await findJob(database, params.hub, params.job);
    if (job === undefined) throw new Refusal('not_found', 'There is no such job.');
    return shown(job);
  });
  void app.register(async (own) => fileRoutes(own as App, admin)); // the same type
}

function fileRoutes(app: App, { database, key, now }: HubDeps['hubs']['admin']): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', (_request, payload, done) => done(null, payload));
  const config = { access: onHub('manage') };
  app.get('/v1/hubs/:hub/files', { config, schema: listFilesSchema }, async ({ params }) => ({
    items: (await listFiles(database, params.hub)).map(shownFile),
  }));
  const path = '/v1/hubs/:hub/files/*';
  app.get(path, { config, schema: readSchema }, async ({ params }, reply) => {
    const info = await fileInfo(database, params.hub, params['*']);
    if (info === undefined) throw new Refusal('not_found', 'There is no such file.');
    reply.header('content-type', 'text/plain; charset=utf-8').header('content-length', info.bytes);
    return reply.send(Readable.from(readFile(database, params.hub, params['*'])) as never); // a stream is no schema's
  });
  app.put(path, { config: { ...config, describedBody }, schema: writeSchema }, async ({ params, query, body }) => {
    await getHub(database, key, params.hub);
    const file = { hub: params.hub, path: checkFilePath(params['*']) };
    if (!(body instanceof Readable))
      throw new Refusal('bad_request', 'The file has no content: send it as the body, with a content type.');
    if (query.part === undefined) return shownFile(await writeFile(database, file, body, now));
    const content = await buffer(limited(body));
    await writePart(database, file, { part: query.part, content, last: query.last }, now());
    return shownFile((await fileInfo(database, file.hub, file.path))!);
  });
  app.delete(path, { config, schema: deleteSchema }, async ({ params }, reply) => {
    await deleteFile(database, params.hub, params['*']);
    return reply.code(204).send(null);
  });
}

async function* limited(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let length = 0;
  for await (const chunk of chunks) {
    length += chunk.length;
    if (length > mostPartBytes) throw new Refusal('too_large', `A part of a file has at most ${mostPartBytes} bytes.`);
    yield chunk;
  }
}

function shown(job: Job) {
  const mode = modes.find((each) => types[each] === job.type) ?? null;
  return {
    id: job.id,
    type: mode === null ? ('export' as const) : ('import' as const),
    mode,
    form: job.form,
    state: job.state,
    lines: job.lines,
    failed: job.failed,
    total: job.total,
    file: job.inputPath ?? null,
    failure: job.failure ?? null,
    outputFile: jobFile(job, 'Output.txt'),
    failedFile: mode === null ? null : jobFile(job, 'Failed.txt'),
    createdAt: job.createdAt.toISOString(),
    updatedAt: job.updatedAt.toISOString(),
  };
}

function shownFile(info: FileInfo) {
  return { ...info, createdAt: info.createdAt.toISOString() };
}

const describedBody = { content: { 'text/plain': { schema: Type.String() } } };
const tags = ['devices'];
const submitSchema = {
  operationId: 'submitHubJob',
  summary: 'Import or export the devices of a hub',
  description:
    'Goes on by itself, over restarts too. Upload the file of an import before. The files of jobs are kept as long as the history.',
  tags,
  params: HubParams,
  body: JobInput,
  response: responses({ 202: JobSchema }),
};
const listSchema = {
  operationId: 'listHubJobs',
  summary: 'List the jobs of a hub, the newest first',
  tags,
  params: HubParams,
  response: responses({ 200: Type.Object({ items: Type.Array(JobSchema) }) }),
};
const getSchema = {
  operationId: 'getHubJob',
  summary: 'Read how far a job is',
  tags,
  params: JobParams,
  response: responses({ 200: JobSchema }),
};
const listFilesSchema = {
  operationId: 'listHubFiles',
  summary: 'List the files of a hub',
  tags,
  params: HubParams,
  response: responses({ 200: Type.Object({ items: Type.Array(FileSchema) }) }),
};
const readSchema = {
  operationId: 'readHubFile',
  summary: 'Read a file of a hub',
  tags,
  params: FileParams,
  response: responses({ 200: Type.String({ description: 'As text, one thing per line.' }) }),
};
const writeSchema = {
  operationId: 'writeHubFile',
  summary: 'Upload a file, whole or in parts',
  description:
    'Without `part` the body is the whole file. Parts end at the end of a line, have 8 MiB at most and come one after the other; the same part again does no harm, so that an upload goes on where it broke off.',
  tags,
  params: FileParams,
  querystring: Type.Object({
    part: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000_000 })),
    last: Type.Boolean({ default: false, description: 'No part comes after this one.' }),
  }),
  response: responses({ 200: FileSchema }, 409),
};
const deleteSchema = {
  operationId: 'deleteHubFile',
  summary: 'Remove a file of a hub',
  tags,
  params: FileParams,
  response: responses({ 204: Type.Null({ description: 'It is gone.' }) }),
};
