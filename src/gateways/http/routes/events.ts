// Events in: `POST /v1/topics/{topic}/events` and `POST /v1/ingest/{mapping}`. This is the hot path of the server: the
// body is taken as bytes, decoded once, and the answer is put together by hand.
import { Type } from 'typebox';
import { authorize } from '../../../access/rights.ts';
import { type CloudEvent, defaultLimits, type EventLimits } from '../../../events/cloudevent.ts';
import { decodeEvents } from '../../../events/decode.ts';
import { applyMapping, type IngestMapping } from '../../../events/ingest.ts';
import { toMessage } from '../../../events/to-message.ts';
import { Refusal } from '../../../kit/refusal.ts';
import type { Broker } from '../../../topics/broker.ts';
import type { Receipt } from '../../../topics/message.ts';
import type { App, Reply, Request } from '../app.ts';
import { onTopic } from '../identity.ts';
import { responses, TopicParams } from '../schemas.ts';

export type EventDeps = {
  readonly broker: Pick<Broker, 'publish'>;
  readonly mappings: readonly IngestMapping[];
  readonly limits?: EventLimits;
};

const Accepted = Type.Object({
  accepted: Type.Integer({ description: 'How many events are durable now; duplicates count.' }),
  events: Type.Array(
    Type.Object({
      id: Type.String(),
      sequence: Type.Integer({ description: 'Its place in the topic.' }),
      duplicate: Type.Boolean({ description: 'The topic had it already: same source and id within the window.' }),
    }),
  ),
});

export function eventRoutes(root: App, deps: EventDeps): void {
  const limits = deps.limits ?? defaultLimits;
  void root.register(async (app: App) => {
    takeBytes(app);
    app.post(
      '/v1/topics/:topic/events',
      {
        schema: publishSchema,
        bodyLimit: limits.maxBatchBytes,
        config: { access: onTopic('send'), describedBody: eventBodies },
      },
      (request, reply) => publishEvents(deps, limits, request, reply),
    );
    app.post(
      '/v1/ingest/:mapping',
      { schema: ingestSchema, bodyLimit: limits.maxBatchBytes, config: { access: 'known', describedBody: ingestBody } },
      (request, reply) => ingest(deps, limits, request, reply),
    );
  });
}

const EventJson = Type.Object(
  {
    specversion: Type.Literal('1.0'),
    id: Type.String({ maxLength: 256 }),
    source: Type.String({ maxLength: 1024, description: 'A URI reference.' }),
    type: Type.String({ maxLength: 256 }),
    subject: Type.Optional(Type.String({ maxLength: 1024 })),
    time: Type.Optional(Type.String({ format: 'date-time' })),
    datacontenttype: Type.Optional(Type.String({ maxLength: 256 })),
    dataschema: Type.Optional(Type.String({ maxLength: 1024 })),
    data: Type.Optional(Type.Unknown()),
    data_base64: Type.Optional(Type.String()),
  },
  { additionalProperties: true, description: 'Further names of lower-case letters and digits are extensions.' },
);
const example = { specversion: '1.0', id: '1', source: '/hr', type: 'hr.employee.joined', data: { employee: 'Ada' } };

const eventBodies = {
  content: {
    'application/cloudevents+json': { schema: { ...EventJson, examples: [example] } },
    'application/cloudevents-batch+json': {
      schema: Type.Array(EventJson, { examples: [[example, { ...example, id: '2' }]] }),
    },
    '*/*': {
      schema: Type.Unknown({ description: 'Binary mode: the data of the event whose attributes are `ce-` headers.' }),
    },
  },
};

const ingestBody = {
  content: {
    'application/json': { schema: Type.Unknown({ examples: [{ userid: 'ada', message: 'Here is a message' }] }) },
  },
};

const publishSchema = {
  operationId: 'publishEvents',
  summary: 'Publish events to a topic',
  description:
    'CloudEvents 1.0 over HTTP in binary mode (`ce-` headers and the data as body), structured mode (`application/cloudevents+json`) or batched mode (`application/cloudevents-batch+json`). The answer comes when the events are durable. A batch is published whole or not at all. An event of the same `source` and `id` is taken once.',
  tags: ['events'],
  params: TopicParams,
  response: responses({ 202: Accepted }, 413, 415),
};

const ingestSchema = {
  operationId: 'ingest',
  summary: 'Publish what an upstream system posts',
  description:
    'The body goes through the mapping of this name in the configuration, which makes events of it. Without an id of its own an event takes the one in `Idempotency-Key`.',
  tags: ['events'],
  params: Type.Object({ mapping: Type.String({ examples: ['enterprise-notification'] }) }),
  response: responses({ 202: Accepted }, 413, 415),
};

function takeBytes(app: App): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
}

async function publishEvents({ broker }: EventDeps, limits: EventLimits, request: Request, reply: Reply) {
  const { events } = decodeEvents(request.headers, bytesOf(request), new Date(), limits);
  const { topic } = request.params as { topic: string }; // the schema says so
  return publish(broker, topic, events, reply);
}

async function ingest({ broker, mappings }: EventDeps, limits: EventLimits, request: Request, reply: Reply) {
  const { mapping: name } = request.params as { mapping: string };
  const mapping = mappings.find((one) => one.name === name);
  if (!mapping) throw new Refusal('mapping_not_found', `There is no ingest mapping ${name}.`);
  authorize(request.identity!, 'send', `topic:${mapping.topic}`); // the guard let only known identities through
  const idempotencyKey = request.headers['idempotency-key'];
  const body = {
    body: bytesOf(request),
    idempotencyKey: idempotencyKey === undefined ? undefined : String(idempotencyKey),
  };
  return publish(broker, mapping.topic, applyMapping(mapping, body, new Date(), limits), reply);
}

async function publish(broker: EventDeps['broker'], topic: string, events: readonly CloudEvent[], reply: Reply) {
  const receipts = events.length === 0 ? [] : await broker.publish(topic, events.map(toMessage));
  return reply
    .code(202)
    .header('content-type', 'application/json; charset=utf-8')
    .serializer(String)
    .send(acceptedJson(events, receipts));
}

/** Sequence numbers are integers and `duplicate` is a boolean, so only the id needs quoting. */
function acceptedJson(events: readonly CloudEvent[], receipts: readonly Receipt[]): string {
  const lines = receipts.map(
    ({ sequence, duplicate }, index) =>
      `{"id":${JSON.stringify(events[index]!.id)},"sequence":${sequence},"duplicate":${duplicate}}`,
  );
  return `{"accepted":${receipts.length},"events":[${lines.join(',')}]}`;
}

function bytesOf({ body, headers }: Request): Uint8Array {
  const encoding = headers['content-encoding'];
  if (encoding !== undefined && encoding !== 'identity')
    throw new Refusal('unsupported_media_type', `The content encoding ${encoding} is not supported; send it plain.`);
  return body instanceof Uint8Array ? body : new Uint8Array();
}
