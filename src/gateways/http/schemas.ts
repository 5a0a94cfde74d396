// Shapes that several routes share. The schemas that validate are the ones that the OpenAPI document shows.
import { type TProperties, type TSchema, Type } from 'typebox';
import { refusals } from '../../kit/refusal.ts';

export const ProblemSchema = Type.Object(
  {
    type: Type.String({ description: 'Where the code is explained.' }),
    title: Type.String(),
    status: Type.Integer(),
    detail: Type.String({ description: 'What is wrong with this very request, and what to do.' }),
    code: Type.Enum(Object.keys(refusals), { description: 'Stable; branch on this.' }),
    retryable: Type.Boolean({ description: 'Whether the same request may succeed later.' }),
    requestId: Type.Optional(Type.String()),
    errors: Type.Optional(
      Type.Array(Type.Object({ field: Type.String(), problem: Type.String() }), { description: 'One for each fault.' }),
    ),
  },
  {
    $id: 'Problem',
    additionalProperties: true,
    description: 'An error (RFC 9457).',
    examples: [
      {
        type: '/docs#error-topic_not_found',
        title: 'There is no such topic',
        status: 404,
        detail: 'There is no topic hr.',
        code: 'topic_not_found',
        retryable: false,
        requestId: 'b7f1c7c0-7b0e-4f0b-9d53-2f6c9a3f8a11',
      },
    ],
  },
);

const problems: Readonly<Record<number, string>> = {
  400: 'The request is not valid; `errors` names the fields.',
  401: 'No valid key and no session.',
  403: 'The key or session may not do this.',
  404: 'There is no such thing.',
  409: 'The thing exists already, or is not in a state that allows this.',
  410: 'It is used up or too old.',
  413: 'The content is larger than the limit.',
  415: 'The content type is not supported.',
  422: 'What was filled in is not enough; `code` says what is missing.',
  500: 'The server failed; its log has the cause under `requestId`.',
  503: 'Try again after `Retry-After`.',
};

/** Responses of a route: what it answers when all is well, and the problems. (Those of a body: see openapi.ts.) */
export function responses(good: Readonly<Record<number, TSchema>>, ...statuses: readonly number[]) {
  const bad = [...new Set([400, 401, 403, 404, 500, 503, ...statuses])].map(
    (status) => [status, problemResponse(status)] as const,
  );
  return { ...good, ...Object.fromEntries(bad) };
}

export function problemResponse(status: number) {
  return {
    description: problems[status],
    content: { 'application/problem+json': { schema: Type.Ref('Problem') } },
  };
}

export const Time = (description?: string) =>
  Type.String({ format: 'date-time', examples: ['2026-11-22T08:30:00.000Z'], ...(description ? { description } : {}) });

export const Nullable = <T extends TSchema>(schema: T) => Type.Union([schema, Type.Null()]);

export const TopicParams = Type.Object({
  topic: Type.String({ minLength: 1, maxLength: 260, description: 'The name of the topic.', examples: ['hr'] }),
});

export const RecipientParams = Type.Object({
  recipient: Type.String({ minLength: 1, maxLength: 128, description: 'The id of the recipient.', examples: ['ada'] }),
});

/** A page of a list: `next` goes into `cursor` of the next request; null at the end. */
export function PageOf<T extends TSchema>(item: T, more: TProperties = {}) {
  return Type.Object({ items: Type.Array(item), ...more, next: Nullable(Type.String()) });
}

export const PageQuery = {
  cursor: Type.Optional(Type.String({ maxLength: 1024, description: 'The `next` of the page before.' })),
  limit: Type.Integer({ minimum: 1, maximum: 500, default: 50, description: 'How many to return at most.' }),
};
