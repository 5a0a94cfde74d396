// Keys of programs. Whoever makes keys can give any right away, so all of this needs `manage *`.
import { Type } from 'typebox';
import type { Access } from '../../../access/access.ts';
import type { Key } from '../../../access/keys.ts';
import { grantText, parseGrant } from '../../../access/rights.ts';
import type { App } from '../app.ts';
import { decodeCursor, encodeCursor } from '../cursor.ts';
import { onEntity } from '../identity.ts';
import { Nullable, PageOf, PageQuery, responses, Time } from '../schemas.ts';

const Grants = Type.Array(Type.String({ maxLength: 320, examples: ['send topic:hr'] }), {
  minItems: 1,
  maxItems: 100,
  description:
    'Rights: `send`, `listen` or `manage`, then `topic:NAME`, `recipient:ID`, `hub:NAME` or `*`; a `*` at the end matches any rest.',
});

const KeyFields = {
  id: Type.String(),
  name: Type.String(),
  grants: Grants,
  preset: Type.Boolean({ description: 'It comes from the settings and is changed there.' }),
  hasSecondary: Type.Boolean({ description: 'It was rotated, and the older secret still works.' }),
  createdAt: Time(),
  rotatedAt: Nullable(Time()),
  expiresAt: Nullable(Time()),
};
const KeySchema = Type.Object(KeyFields);
const KeyWithSecret = Type.Object({ ...KeyFields, secret: Type.String({ description: 'Shown this once.' }) });
const KeyParams = Type.Object({ key: Type.String({ maxLength: 200, examples: ['key_06f1c5v9n1'] }) });

const NewKey = Type.Object(
  { name: Type.String({ minLength: 1, maxLength: 200 }), grants: Grants, expiresAt: Type.Optional(Time()) },
  { additionalProperties: false, examples: [{ name: 'hr backend', grants: ['send topic:hr'] }] },
);

export function keyRoutes(app: App, { access }: { readonly access: Access }): void {
  const config = { access: onEntity('manage', '*') };
  app.get('/v1/keys', { config, schema: { ...listSchema, querystring: Type.Object(PageQuery) } }, async ({ query }) => {
    const { limit } = query;
    const keys = await access.listKeys({ after: decodeCursor('keys', query.cursor) ?? '', limit });
    return { items: keys.map(shown), next: encodeCursor('keys', keys.length === limit ? keys.at(-1)?.id : undefined) };
  });
  app.post('/v1/keys', { config, schema: createSchema }, async ({ body }, reply) => {
    const { name, grants, expiresAt } = body;
    const key = {
      name,
      grants: grants.map(parseGrant),
      ...(expiresAt === undefined ? {} : { expiresAt: new Date(expiresAt) }),
    };
    const made = await access.createKey(key);
    return reply.code(201).send({ ...shown(made), secret: made.secret });
  });
  app.post('/v1/keys/:key/rotate', { config, schema: rotateSchema }, async ({ params }) => {
    const rotated = await access.rotateKey(params.key);
    return { ...shown(rotated), secret: rotated.secret };
  });
  app.delete('/v1/keys/:key/secondary', { config, schema: endSchema }, async ({ params }) =>
    shown(await access.endSecondary(params.key)),
  );
  app.delete('/v1/keys/:key', { config, schema: revokeSchema }, async ({ params }, reply) => {
    await access.revokeKey(params.key);
    return reply.code(204).send(null);
  });
}

const listSchema = {
  operationId: 'listKeys',
  summary: 'List keys',
  tags: ['access'],
  response: responses({ 200: PageOf(KeySchema) }),
};
const createSchema = {
  operationId: 'createKey',
  summary: 'Make a key',
  tags: ['access'],
  body: NewKey,
  response: responses({ 201: KeyWithSecret }),
};
const rotateSchema = {
  operationId: 'rotateKey',
  summary: 'Give a key a new secret',
  description: 'The secret that it had goes on working until the next rotation, or until it is ended.',
  tags: ['access'],
  params: KeyParams,
  response: responses({ 200: KeyWithSecret }, 409),
};
const endSchema = {
  operationId: 'endSecondarySecret',
  summary: 'End the older secret of a rotated key',
  tags: ['access'],
  params: KeyParams,
  response: responses({ 200: KeySchema }, 409),
};
const revokeSchema = {
  operationId: 'revokeKey',
  summary: 'Revoke a key',
  description: 'Effective at once on this node, and within a second on the others.',
  tags: ['access'],
  params: KeyParams,
  response: responses({ 204: Type.Null({ description: 'The key is gone.' }) }, 409),
};

function shown(key: Key) {
  return {
    id: key.id,
    name: key.name,
    grants: key.grants.map(grantText),
    preset: key.preset,
    hasSecondary: key.hasSecondary,
    createdAt: key.createdAt.toISOString(),
    rotatedAt: key.rotatedAt?.toISOString() ?? null,
    expiresAt: key.expiresAt?.toISOString() ?? null,
  };
}
