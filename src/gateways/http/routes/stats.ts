// Figures for the dashboard, once and as a stream.
import { Type } from 'typebox';
import type { App } from '../app.ts';
import type { EventStreams } from '../event-stream.ts';
import { HubStatusSchema } from '../hub-json.ts';
import { onEntity } from '../identity.ts';
import { responses, Time } from '../schemas.ts';
import type { Stats } from '../stats.ts';

const Count = Type.Integer();
const sample = {
  at: Time(),
  topics: Type.Array(
    Type.Object({
      name: Type.String(),
      published: Count,
      subscriptions: Type.Array(Type.Object({ name: Type.String(), handled: Count, backlog: Count, dead: Count })),
    }),
  ),
  notices: Count,
  deliveries: Type.Array(
    Type.Object({
      channel: Type.String(),
      delivered: Count,
      retried: Count,
      dropped: Count,
      failed: Count,
      pending: Count,
      dead: Count,
    }),
  ),
  hubs: Type.Array(HubStatusSchema, { description: 'The first 50 by name.' }),
  openStreams: Count,
  alone: Type.Boolean({
    description:
      'Whether no other node shares the database. What is counted and the states of hubs’ lanes are this node’s; devices, backlogs and dead letters are of all.',
  }),
};

export function statsRoutes(app: App, stats: Stats, streams: EventStreams): void {
  const config = { access: onEntity('listen', 'system:stats') };
  app.get('/v1/stats', { config, schema: nowSchema }, () => stats.now());
  app.get('/v1/stats/stream', { exposeHeadRoute: false, config, schema: streamSchema }, (request, reply) =>
    streams.serve(request, reply, stats.watch()),
  );
}

const nowSchema = {
  operationId: 'stats',
  summary: 'Figures of this node',
  description: 'Counters count since the start of the process. `history` has the last minute if somebody watched.',
  tags: ['system'],
  response: responses({ 200: Type.Object({ ...sample, history: Type.Array(Type.Object(sample)) }) }),
};
const streamSchema = {
  operationId: 'streamStats',
  summary: 'The same, every second',
  description: 'Server-sent events `stats`.',
  tags: ['system'],
  response: {
    ...responses({}),
    200: { description: 'The stream.', content: { 'text/event-stream': { schema: Type.String() } } },
  },
};
