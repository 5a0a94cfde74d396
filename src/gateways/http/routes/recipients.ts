// People: who they are and what they want.

import { Type } from 'typebox';
import { forgetPerson } from '../../../access/sign-in.ts';
import { forgetConversationsOf } from '../../../assistant/conversations/retention.ts';
import { forgetAnswers } from '../../../assistant/decisions/forget.ts';
import { forgetReferences } from '../../../assistant/references/references.ts';
import { forgetDevicesOf } from '../../../hub/device-list.ts';
import { forgetInbox } from '../../../inbox/mark.ts';
import type { InboxStream } from '../../../inbox/stream.ts';
import type { Database } from '../../../kit/database.ts';
import { Refusal } from '../../../kit/refusal.ts';
import { parsePreferences } from '../../../people/parse-preferences.ts';
import { getPreferences, putPreferences } from '../../../people/preference-records.ts';
import { parseRecipient, parseRecipientId, type Recipient } from '../../../people/recipient.ts';
import {
  deleteRecipient,
  getRecipient,
  listRecipients,
  putRecipient,
  searchRecipients,
} from '../../../people/recipients.ts';
import type { App } from '../app.ts';
import { decodeCursor, encodeCursor } from '../cursor.ts';
import { type Need, onRecipient } from '../identity.ts';
import { PageOf, PageQuery, RecipientParams, responses, Time } from '../schemas.ts';

const Attribute = Type.Union([Type.String(), Type.Number(), Type.Boolean(), Type.Array(Type.String())]);

const RecipientFields = {
  displayName: Type.Optional(Type.String({ minLength: 1, maxLength: 200, examples: ['Ada Lovelace'] })),
  email: Type.Optional(Type.String({ maxLength: 254, examples: ['ada@example.org'] })),
  locale: Type.Optional(Type.String({ maxLength: 64, description: 'BCP 47.', examples: ['en-GB'] })),
  timeZone: Type.Optional(Type.String({ maxLength: 64, description: 'IANA name.', examples: ['Europe/London'] })),
  attributes: Type.Optional(Type.Record(Type.String(), Attribute, { description: 'What audience rules ask for.' })),
  addresses: Type.Optional(Type.Record(Type.String(), Type.String(), { description: 'Kind of address to address.' })),
};
const RecipientInput = Type.Object(RecipientFields, {
  additionalProperties: false,
  examples: [{ displayName: 'Ada Lovelace', email: 'ada@example.org', attributes: { department: 'finance' } }],
});
const RecipientSchema = Type.Object({ id: Type.String(), ...RecipientFields, createdAt: Time(), updatedAt: Time() });

const CategorySetting = Type.Object(
  {
    inbox: Type.Optional(Type.Boolean()),
    mobile: Type.Optional(Type.Boolean()),
    conversation: Type.Optional(Type.Boolean()),
    email: Type.Optional(Type.Boolean()),
    when: Type.Optional(
      Type.String({
        maxLength: 1000,
        description: 'A filter over the event; where it does not match, nothing is sent.',
      }),
    ),
    mutedUntil: Type.Optional(
      Type.String({
        maxLength: 40,
        examples: ['2026-01-31T08:00:00Z'],
        description: 'Until then nothing of the category disturbs; the inbox still gets it.',
      }),
    ),
  },
  { additionalProperties: false },
);
const QuietHours = Type.Object(
  {
    from: Type.String({ examples: ['22:00'] }),
    to: Type.String({ examples: ['07:00'] }),
    timeZone: Type.Optional(
      Type.String({ maxLength: 64, description: "IANA name; else that of the recipient's record." }),
    ),
  },
  {
    additionalProperties: false,
    description: 'What could disturb waits until they end; the inbox, the urgent and the mandatory do not.',
  },
);
const PreferencesSchema = Type.Object(
  {
    SendNotificationToMobileDevice: Type.Optional(Type.Boolean({ default: true })),
    SendNotificationToConversation: Type.Optional(Type.Boolean({ default: true })),
    categories: Type.Optional(Type.Record(Type.String(), CategorySetting)),
    quietHours: Type.Optional(QuietHours),
    preferredConversation: Type.Optional(
      Type.Union([Type.Literal('directline'), Type.Literal('teams'), Type.Literal('slack')], {
        description: 'Where the assistant speaks to them first; else where they were seen last.',
      }),
    ),
  },
  {
    additionalProperties: false,
    description: 'A setting of a category wins over the two flags.',
    examples: [
      { SendNotificationToMobileDevice: false, categories: { account: { email: true, when: '[data.amount] > 500' } } },
    ],
  },
);

/** A list needs the right on all that it may show, not on one recipient whose id is the prefix. */
const onListedRecipients: Need = {
  right: 'listen',
  entity: ({ query }) => `recipient:${(query as { prefix?: string }).prefix ?? ''}*`,
};

export type RecipientDeps = { readonly database: Database; readonly inbox: Pick<InboxStream, 'forget'> };

export function recipientRoutes(app: App, { database, inbox }: RecipientDeps): void {
  app.get('/v1/recipients', { config: { access: onListedRecipients }, schema: listSchema }, async ({ query }) => {
    const after = decodeCursor('recipients', query.cursor);
    const { prefix, search: words, limit } = query;
    if (words && prefix) throw new Refusal('bad_request', 'The request is not valid: give either prefix or search.');
    const range = { ...(after && { after }), limit };
    const page = words
      ? await searchRecipients(database, { words, ...range })
      : await listRecipients(database, { ...(prefix && { prefix }), ...range });
    return { items: page.items.map(shown), next: encodeCursor('recipients', page.next) };
  });
  app.get(
    '/v1/recipients/:recipient',
    { config: { access: onRecipient('listen') }, schema: getSchema },
    async ({ params }) => shown(await getRecipient(database, params.recipient)),
  );
  app.put(
    '/v1/recipients/:recipient',
    { config: { access: onRecipient('manage') }, schema: putSchema },
    async ({ params, body }) => {
      const input = parseRecipient(body);
      return shown(await database.transaction((tx) => putRecipient(tx, params.recipient, input)));
    },
  );
  app.delete(
    '/v1/recipients/:recipient',
    { config: { access: onRecipient('manage') }, schema: deleteSchema },
    async ({ params }, reply) => {
      await database.transaction(async (tx) => {
        await deleteRecipient(tx, params.recipient);
        await forgetInbox(tx, params.recipient);
        await forgetAnswers(tx, params.recipient);
        await forgetDevicesOf(tx, params.recipient);
        await forgetConversationsOf(tx, params.recipient);
        await forgetReferences(tx, params.recipient);
        await forgetPerson(tx, params.recipient);
      });
      inbox.forget(params.recipient);
      return reply.code(204).send(null);
    },
  );
  preferenceRoutes(app, database);
}

function preferenceRoutes(app: App, database: Database): void {
  const path = '/v1/recipients/:recipient/preferences';
  app.get(path, { config: { access: onRecipient('listen') }, schema: getPreferencesSchema }, ({ params }) =>
    getPreferences(database, parseRecipientId(params.recipient)),
  );
  app.put(path, { config: { access: onRecipient('send') }, schema: putPreferencesSchema }, async ({ params, body }) => {
    const recipient = parseRecipientId(params.recipient);
    const preferences = parsePreferences(body);
    return database.transaction((tx) => putPreferences(tx, recipient, preferences));
  });
}

const listSchema = {
  operationId: 'listRecipients',
  summary: 'List recipients',
  tags: ['people'],
  querystring: Type.Object({
    prefix: Type.Optional(Type.String({ maxLength: 128, description: 'Only ids that begin with this.' })),
    search: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 200,
        description: 'Only those whose id, name or mail address holds this anywhere, in any case.',
      }),
    ),
    ...PageQuery,
  }),
  response: responses({ 200: PageOf(RecipientSchema) }),
};
const getSchema = {
  operationId: 'getRecipient',
  summary: 'Read a recipient',
  tags: ['people'],
  params: RecipientParams,
  response: responses({ 200: RecipientSchema }),
};
const putSchema = {
  operationId: 'putRecipient',
  summary: 'Make or replace a recipient',
  description: 'What is left out is cleared. A new recipient gets the default preferences.',
  tags: ['people'],
  params: RecipientParams,
  body: RecipientInput,
  response: responses({ 200: RecipientSchema }),
};
const deleteSchema = {
  operationId: 'deleteRecipient',
  summary: 'Forget a recipient',
  description: 'Removes the person with their preferences, inbox, devices, conversations and sessions.',
  tags: ['people'],
  params: RecipientParams,
  response: responses({ 204: Type.Null({ description: 'Forgotten.' }) }),
};
const getPreferencesSchema = {
  operationId: 'getPreferences',
  summary: 'Read what a recipient wants',
  tags: ['people'],
  params: RecipientParams,
  response: responses({ 200: PreferencesSchema }),
};
const putPreferencesSchema = {
  operationId: 'putPreferences',
  summary: 'Replace what a recipient wants',
  description: 'What is left out is as if never chosen. Makes the recipient if nobody has seen them yet.',
  tags: ['people'],
  params: RecipientParams,
  body: PreferencesSchema,
  response: responses({ 200: PreferencesSchema }),
};

function shown(recipient: Recipient) {
  const { createdAt, updatedAt, attributes, ...rest } = recipient;
  // Attribute lists are read-only for us; the schema's type is not.
  const open = attributes as Record<string, string | number | boolean | string[]>;
  return { ...rest, attributes: open, createdAt: createdAt.toISOString(), updatedAt: updatedAt.toISOString() };
}
