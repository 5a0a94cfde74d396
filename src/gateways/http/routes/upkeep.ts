// Looking after a subscription or queue: dead letters back to work, throwing away what waits, reading again.
import { Type } from 'typebox';
import { Refusal } from '../../../kit/refusal.ts';
import type { Broker } from '../../../topics/broker.ts';
import type { ReplayFrom } from '../../../topics/owner/replay.ts';
import type { DeadSelection } from '../../../topics/receive/redrive.ts';
import type { App, Request } from '../app.ts';
import {
  brokerPath,
  type EntityBase,
  type EntityParams,
  entityBases,
  Of,
  onQueue,
  QueueParams,
} from '../entity-paths.ts';
import type { EventStreams } from '../event-stream.ts';
import { onTopic } from '../identity.ts';
import { Progress } from '../progress.ts';
import { responses, Time, TopicParams } from '../schemas.ts';

export type UpkeepDeps = { readonly broker: Broker };

const Sequence = Type.Integer({ minimum: 1 });

const RedriveBody = Type.Object(
  {
    sequences: Type.Optional(Type.Array(Sequence, { minItems: 1, maxItems: 10_000 })),
    reason: Type.Optional(Type.String({ maxLength: 4096 })),
    all: Type.Optional(Type.Literal(true)),
  },
  { additionalProperties: false, examples: [{ reason: 'MaxDeliveryCountExceeded' }, { all: true }] },
);

/** Where to read from. */
export const FromSchema = Type.Object(
  { sequence: Type.Optional(Sequence), time: Type.Optional(Time()), oldest: Type.Optional(Type.Literal(true)) },
  { additionalProperties: false, description: 'One of the three.', examples: [{ time: '2026-11-22T00:00:00Z' }] },
);

const CancelBody = Type.Object(
  {
    sequences: Type.Array(Sequence, {
      minItems: 1,
      maxItems: 1000,
      description: 'As they were given when it was sent.',
    }),
  },
  { additionalProperties: false },
);

export function upkeepRoutes(app: App, deps: UpkeepDeps, streams: EventStreams): void {
  for (const base of entityBases) {
    addDeadLetters(app, base, deps, streams);
    addPurge(app, base, deps);
    addReplay(app, base, deps);
  }
  addCancel(app, deps);
}

function addDeadLetters(app: App, base: EntityBase, { broker }: UpkeepDeps, streams: EventStreams): void {
  const path = `${base.path}/dead-letters`;
  app.get(
    `${path}/causes`,
    { config: { access: base.need('listen') }, schema: causesSchema(base) },
    async ({ params }) => {
      const causes = await broker.deadCauses(brokerPath(params as EntityParams));
      return {
        items: causes.map((cause) => ({ ...cause, first: cause.first.toISOString(), last: cause.last.toISOString() })),
      };
    },
  );
  app.post(
    `${path}/redrive`,
    { config: { access: base.need('manage') }, schema: redriveSchema(base) },
    async (request, reply) => {
      const entity = brokerPath(request.params as EntityParams);
      const which = selectionOf(request.body);
      if (!wantsStream(request)) return { redriven: await broker.redrive(entity, which) };
      broker.receiver(entity); // refuses what is not there while an ordinary answer is still possible
      const progress = new Progress((moved) => broker.redrive(entity, which, moved), 'redriven');
      return streams.serve(request, reply, progress);
    },
  );
}

export function wantsStream({ headers }: Request): boolean {
  return /\btext\/event-stream\b/.test(headers.accept ?? '');
}

function selectionOf({ sequences, reason, all }: { sequences?: number[]; reason?: string; all?: true }): DeadSelection {
  if ([sequences, reason, all].filter((given) => given !== undefined).length !== 1)
    throw oneOf('sequences', 'or reason or all must be given, one of them');
  return { sequences, reason };
}

function addPurge(app: App, base: EntityBase, { broker }: UpkeepDeps): void {
  const config = { access: base.need('manage') };
  app.post(`${base.path}/purge`, { config, schema: purgeSchema(base) }, async ({ params, body }) => ({
    purged: await broker.purge(brokerPath(params as EntityParams, body.of)),
  }));
}

function addReplay(app: App, base: EntityBase, { broker }: UpkeepDeps): void {
  const config = { access: base.need('manage') };
  app.post(`${base.path}/replay`, { config, schema: replaySchema(base) }, async ({ params, body }, reply) => {
    await broker.replay(brokerPath(params as EntityParams), replayFrom(body));
    return reply.code(204).send(null);
  });
}

/** `given` fits FromSchema. */
export function replayFrom({
  sequence,
  time,
  oldest,
}: {
  sequence?: number;
  time?: string;
  oldest?: true;
}): ReplayFrom {
  if ([sequence, time, oldest].filter((each) => each !== undefined).length !== 1)
    throw oneOf('sequence', 'or time or oldest must be given, one of them');
  if (sequence !== undefined) return { sequence };
  if (time === undefined) return 'oldest';
  const at = new Date(time);
  if (Number.isNaN(at.getTime())) throw oneOf('time', 'is no time');
  return { time: at };
}

function oneOf(field: string, problem: string): Refusal {
  return new Refusal('bad_request', `The request is not valid: ${field} ${problem}.`, { errors: [{ field, problem }] });
}

function addCancel(app: App, { broker }: UpkeepDeps): void {
  const places = [
    { path: '/v1/topics/:topic/scheduled/cancel', need: onTopic, params: TopicParams, what: 'Topic' },
    { path: '/v1/queues/:queue/scheduled/cancel', need: onQueue, params: QueueParams, what: 'Queue' },
  ];
  for (const { path, need, params, what } of places) {
    const schema = { ...cancelSchema, operationId: `cancelScheduledOf${what}`, params };
    app.post(path, { config: { access: need('send') }, schema }, async ({ params: given, body }, reply) => {
      const { topic, queue } = given as EntityParams; // one of the two, as the schema says
      await broker.cancelScheduled((topic ?? queue)!, body.sequences);
      return reply.code(204).send(null);
    });
  }
}

const tags = ['messages'];

const cancelSchema = {
  summary: 'Cancel scheduled messages',
  description: 'All or none: refuses if one of them was sent already.',
  tags,
  body: CancelBody,
  response: responses({ 204: Type.Null({ description: 'They will not be sent.' }) }),
};

function causesSchema({ params, what }: EntityBase) {
  const Cause = Type.Object({ reason: Type.String(), count: Type.Integer(), first: Time(), last: Time() });
  return {
    operationId: `countDeadLettersOf${what}`,
    summary: 'Count dead letters by cause',
    tags,
    params,
    response: responses({ 200: Type.Object({ items: Type.Array(Cause) }) }),
  };
}

const redriven = {
  description: 'How many went back.',
  content: {
    'application/json': { schema: Type.Object({ redriven: Type.Integer() }) },
    'text/event-stream': { schema: Type.String() },
  },
};

function redriveSchema({ params, what }: EntityBase) {
  return {
    operationId: `redrive${what}`,
    summary: 'Bring dead letters back to where they died',
    description:
      'The named ones, those of a reason, or all. With `Accept: text/event-stream` it answers events `progress` while it works, and `done` or `failed` in the end.',
    tags,
    params,
    body: RedriveBody,
    response: { ...responses({}), 200: redriven },
  };
}

function purgeSchema({ params, what }: EntityBase) {
  return {
    operationId: `purge${what}`,
    summary: 'Throw away what waits',
    description: 'What is locked stays with its holder.',
    tags,
    params,
    body: Type.Object({ of: Of }, { additionalProperties: false, examples: [{ of: 'dead' }] }),
    response: responses({ 200: Type.Object({ purged: Type.Integer() }) }),
  };
}

function replaySchema({ params, what }: EntityBase) {
  return {
    operationId: `replay${what}`,
    summary: 'Read again',
    description: 'What the log still has, from a sequence number, from a time, or from the oldest on.',
    tags,
    params,
    body: FromSchema,
    response: responses({ 204: Type.Null({ description: 'It reads from there now.' }) }),
  };
}
