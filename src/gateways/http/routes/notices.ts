// What an event has told people is taken back or corrected by whoever may publish to its topic.
import { Type } from 'typebox';
import type { Identity } from '../../../access/rights.ts';
import type { Decisions } from '../../../assistant/decisions/decisions.ts';
import type { Definitions } from '../../../handler/notification.ts';
import { correctNotices, type RecallDeps, recallNotices, type Told } from '../../../handler/recall.ts';
import type { InboxStream } from '../../../inbox/stream.ts';
import type { Database } from '../../../kit/database.ts';
import { Refusal } from '../../../kit/refusal.ts';
import { parseRecipientId } from '../../../people/recipient.ts';
import type { App } from '../app.ts';
import { onTopic } from '../identity.ts';
import { responses, TopicParams } from '../schemas.ts';

export type NoticeDeps = {
  readonly database: Database;
  readonly inbox: InboxStream;
  readonly decisions: Pick<Decisions, 'wake'>;
  readonly definitions: Definitions;
  /** Cards in conversations are due to be edited. */
  readonly edit: () => void;
};

const which = {
  event: Type.Optional(Type.String({ minLength: 1, maxLength: 1024, description: 'The id of the event.' })),
  sequence: Type.Optional(Type.Integer({ minimum: 0, description: 'Or its number in the topic.' })),
  partition: Type.Optional(Type.Integer({ minimum: 0, default: 0, description: 'With `sequence`.' })),
  notification: Type.Optional(Type.String({ maxLength: 200, description: 'Only what this notification told.' })),
  recipients: Type.Optional(
    Type.Array(Type.String({ maxLength: 128 }), {
      minItems: 1,
      maxItems: 1000,
      description: 'Only what these people were told.',
    }),
  ),
};
const RecallBody = Type.Object(
  { ...which, reason: Type.Optional(Type.String({ minLength: 1, maxLength: 500, description: 'Shown instead.' })) },
  {
    additionalProperties: false,
    examples: [
      { event: '5f0c', reason: 'Sent to the wrong team.' },
      { event: '5f0c', recipients: ['ada'] },
    ],
  },
);
const UpdateBody = Type.Object(
  {
    ...which,
    card: Type.Unknown({ description: 'The whole card as it is to be shown, as a notification writes it.' }),
  },
  {
    additionalProperties: false,
    examples: [{ event: '5f0c', card: { title: 'The lift works again', body: 'Since 10:42.' } }],
  },
);

type Which = Partial<Record<'event' | 'notification', string>> & {
  readonly sequence?: number;
  readonly partition?: number;
  readonly recipients?: readonly string[];
};

export function noticeRoutes(app: App, { database, inbox, decisions, definitions, edit }: NoticeDeps): void {
  const deps: RecallDeps = { database, inbox, edit, settled: () => decisions.wake() };
  const config = { access: onTopic('send') };
  app.post('/v1/topics/:topic/notices/recall', { config, schema: recallSchema }, ({ params, body, identity }) =>
    recallNotices(deps, toldBy(params.topic, body), { reason: body.reason, by: nameOf(identity!) }),
  );
  app.post('/v1/topics/:topic/notices/update', { config, schema: updateSchema }, async ({ params, body, identity }) => {
    const policy = definitions.all[0]?.cardPolicy; // one for all of them
    const correction = { card: body.card, policy, by: nameOf(identity!) };
    return { notices: await correctNotices(deps, toldBy(params.topic, body), correction) };
  });
}

function toldBy(topic: string, { event, sequence, partition = 0, notification, recipients }: Which): Told {
  if ((event === undefined) === (sequence === undefined))
    throw new Refusal('bad_request', 'The request is not valid: give either event or sequence.', {
      errors: [{ field: 'event', problem: 'or sequence must be given, and not both' }],
    });
  const named = event ?? { sequence: sequence!, partition };
  return { topic, event: named, notification, recipients: recipients?.map((id) => parseRecipientId(id)) };
}

function nameOf(identity: Identity): string {
  return identity.kind === 'key' ? `key ${identity.name}` : identity.kind;
}

const recallSchema = {
  operationId: 'recallNotices',
  summary: 'Take back what an event told people',
  description:
    'Their inboxes and the cards in conversations say that the notice was withdrawn, and why; nothing of what it said is shown. What has not gone out is cancelled; mails and pushes that went out cannot be caught. A question that nobody is asked any more is withdrawn. May be called again.',
  tags: ['inbox'],
  params: TopicParams,
  body: RecallBody,
  response: responses({
    200: Type.Object({
      notices: Type.Integer({ description: 'How many were taken back by this call.' }),
      cancelled: Type.Integer({ description: 'Deliveries that had not gone out.' }),
      questions: Type.Integer({ description: 'Questions that were withdrawn.' }),
    }),
  }),
};
const updateSchema = {
  operationId: 'updateNotices',
  summary: 'Correct what an event told people',
  description:
    'Their inboxes and the cards in conversations show the new card, where they stand. A question stays as it is asked: leave `actions` out.',
  tags: ['inbox'],
  params: TopicParams,
  body: UpdateBody,
  response: responses({ 200: Type.Object({ notices: Type.Integer({ description: 'How many show it.' }) }) }, 409),
};
