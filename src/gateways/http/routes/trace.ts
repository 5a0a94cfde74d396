// The decision trace: why somebody did or did not get something.
import { Type } from 'typebox';
import { type TraceStep, traceOfRecipient } from '../../../deliveries/read-trace.ts';
import type { Database } from '../../../kit/database.ts';
import { parseRecipientId } from '../../../people/recipient.ts';
import type { App } from '../app.ts';
import { decodeCursor, encodeCursor } from '../cursor.ts';
import { onRecipient } from '../identity.ts';
import { PageQuery, RecipientParams, responses, Time } from '../schemas.ts';

const Step = Type.Object({
  at: Time(),
  step: Type.String({ description: 'What was decided; `attempt` for a try of a delivery.' }),
  outcome: Type.String(),
  topic: Type.Optional(Type.String()),
  sequence: Type.Optional(Type.Integer()),
  eventId: Type.Optional(Type.String()),
  notification: Type.Optional(Type.String()),
  recipient: Type.Optional(Type.String()),
  notice: Type.Optional(Type.String()),
  channel: Type.Optional(Type.String()),
  detail: Type.Optional(Type.String()),
});
export const Steps = Type.Array(Step);

export function traceRoutes(app: App, { database }: { readonly database: Database }): void {
  app.get(
    '/v1/recipients/:recipient/trace',
    { config: { access: onRecipient('listen') }, schema: recipientTraceSchema },
    async ({ params, query }) => {
      const after = decodeCursor('recipient-trace', query.cursor);
      const page = await traceOfRecipient(database, parseRecipientId(params.recipient), { after, limit: query.limit });
      return { steps: page.items.map(shownStep), next: encodeCursor('recipient-trace', page.next) };
    },
  );
}

const recipientTraceSchema = {
  operationId: 'traceOfRecipient',
  summary: 'Why did this person get it, or not?',
  description: 'Newest first.',
  tags: ['trace'],
  params: RecipientParams,
  querystring: Type.Object(PageQuery),
  response: responses({ 200: Type.Object({ steps: Steps, next: Type.Union([Type.String(), Type.Null()]) }) }),
};

/** What is not known of a step is left out. */
export function shownStep({ at, recipientId, noticeId, partition: _, ...rest }: TraceStep) {
  const known = Object.entries({ ...rest, recipient: recipientId, notice: noticeId }).filter(
    ([, value]) => value !== null,
  );
  // The entries are the step's own texts and numbers, without those that were null.
  return { at: at.toISOString(), ...(Object.fromEntries(known) as { step: string; outcome: string }) };
}
