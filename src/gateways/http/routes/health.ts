// Health: `/healthz` says that the process lives, `/readyz` that it can do its work, `/metrics` is for Prometheus.
import { Type } from 'typebox';
import type { App } from '../app.ts';

export type HealthDeps = {
  /** Names of what is not ready, with the cause; empty when all is well. */
  readonly notReady: () => Promise<readonly string[]>;
  /** The text of Prometheus' exposition format, if something collects metrics. */
  readonly metrics?: () => string | Promise<string>;
};

export function healthRoutes(app: App, { notReady, metrics }: HealthDeps): void {
  const open = { config: { access: 'open' as const } };
  app.get('/healthz', { ...open, schema: schemaOf('The process lives') }, async () => ({ status: 'ok' }));
  app.get('/readyz', { ...open, schema: schemaOf('The server can do its work') }, async (_request, reply) => {
    const missing = await notReady();
    if (missing.length === 0) return { status: 'ready' };
    return reply
      .code(503)
      .header('retry-after', '1')
      .send({ status: 'not ready', missing: [...missing] });
  });
  app.get(
    '/metrics',
    { ...open, schema: { ...schemaOf('Figures for Prometheus'), response: {} } },
    async (_request, reply) => {
      return reply
        .header('content-type', 'text/plain; version=0.0.4; charset=utf-8')
        .serializer(String)
        .send((await metrics?.()) ?? '');
    },
  );
}

const Health = Type.Object({
  status: Type.String({ examples: ['ready'] }),
  missing: Type.Optional(Type.Array(Type.String(), { description: 'What is not ready, and why.' })),
});

function schemaOf(summary: string) {
  return { summary, tags: ['health'], response: { 200: Health, 503: Health } };
}
