// Answers on cards: the person whose inbox it is answers; the question is decided once, for everybody who was asked.
import { Type } from 'typebox';
import type { Identity } from '../../../access/rights.ts';
import type { Decided } from '../../../assistant/decisions/decide.ts';
import type { Decisions } from '../../../assistant/decisions/decisions.ts';
import { parseRecipientId } from '../../../people/recipient.ts';
import type { App } from '../app.ts';
import { DecisionSchema, decisionJson } from '../decision-json.ts';
import { onRecipient } from '../identity.ts';
import { RecipientParams, responses } from '../schemas.ts';

export type AnswerDeps = { readonly decisions: Pick<Decisions, 'decide'> };

const Params = Type.Object({
  ...RecipientParams.properties,
  notice: Type.String({ maxLength: 100, examples: ['ntc_3k8v0c2m5q'] }),
  action: Type.String({
    maxLength: 64,
    description: 'The id of one of the actions of the card.',
    examples: ['approve'],
  }),
});

const Body = Type.Object(
  {
    inputs: Type.Optional(
      Type.Record(Type.String({ maxLength: 100 }), Type.Union([Type.String(), Type.Number(), Type.Boolean()]), {
        description: 'What was filled in; `reason` where the action asks for one.',
      }),
    ),
    idempotencyKey: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 200,
        description: 'The same answer with the same key gets the same response.',
      }),
    ),
    version: Type.Optional(Type.String({ maxLength: 64, description: 'The version of the card that was shown.' })),
  },
  { additionalProperties: false, examples: [{}, { inputs: { reason: 'Not in this quarter.' } }] },
);

const Answered = Type.Object({
  id: Type.String({ description: 'The notice.' }),
  decision: DecisionSchema,
  card: Type.Unknown({ description: 'The card; it can no longer be answered.' }),
});

export function answerRoutes(app: App, { decisions }: AnswerDeps): void {
  app.post(
    '/v1/recipients/:recipient/inbox/:notice/actions/:action',
    { config: { access: onRecipient('send') }, schema: answerSchema },
    async ({ params, body, headers, identity }) => {
      const given = body ?? {};
      const header = headers['idempotency-key'];
      const decided = await decisions.decide({
        noticeId: params.notice,
        actorId: parseRecipientId(params.recipient),
        actionId: params.action,
        inputs: given.inputs,
        surface: 'inbox',
        idempotencyKey: given.idempotencyKey ?? (typeof header === 'string' ? header.slice(0, 200) : undefined),
        version: given.version,
        via: viaOf(identity!), // the guard let only known identities through
      });
      return shownAnswer(decided);
    },
  );
}

function shownAnswer({ notice, decision }: Decided) {
  return { id: notice.id, decision: decisionJson(decision), card: notice.card };
}

function viaOf(identity: Identity): string {
  return identity.kind === 'key' ? `key ${identity.name}` : identity.kind;
}

const answerSchema = {
  operationId: 'answerCard',
  summary: 'Answer a card',
  description:
    'Decides the question of a card, once for everybody who was asked it. Whoever comes later gets 409 `already_decided` with who decided and when; 410 `expired` or `withdrawn`; 422 `reason_required` or `inputs_invalid`; 403 `not_allowed`.',
  tags: ['inbox'],
  params: Params,
  body: Type.Optional(Body),
  response: responses({ 200: Answered }, 409, 410, 422),
};
