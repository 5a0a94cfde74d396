// Where the assistant can speak to a person, for whoever is asked why somebody does not hear of things in Teams.
import { Type } from 'typebox';
import { surfaces } from '../../../assistant/references/reference.ts';
import { referencesOf } from '../../../assistant/references/references.ts';
import type { Database } from '../../../kit/database.ts';
import { getRecipient } from '../../../people/recipients.ts';
import type { App } from '../app.ts';
import { onRecipient } from '../identity.ts';
import { Nullable, RecipientParams, responses, Time } from '../schemas.ts';

const Place = Type.Object({
  surface: Type.Enum([...surfaces]),
  connection: Type.String({ description: 'The agent of the web chat; else the connection of the config.' }),
  place: Type.String({ description: 'The conversation, as the surface names it.' }),
  state: Type.Enum(['ok', 'blocked', 'gone']),
  lastSeenAt: Nullable(Time('When the person spoke there last.')),
  lastError: Nullable(Type.String()),
  throttledUntil: Nullable(Time()),
});

const schema = {
  operationId: 'listPlaces',
  summary: 'List where the assistant can speak to a person',
  description:
    'In the order in which they are tried. A notice that finds none of them usable waits in the standing conversation.',
  tags: ['recipients'],
  params: RecipientParams,
  response: responses({ 200: Type.Object({ items: Type.Array(Place) }) }),
};

export function placeRoutes(app: App, { database }: { readonly database: Database }): void {
  const path = '/v1/recipients/:recipient/places';
  app.get(path, { config: { access: onRecipient('listen') }, schema }, async ({ params }) => {
    const { recipient } = params;
    await getRecipient(database, recipient);
    const references = (await referencesOf(database, [recipient])).get(recipient) ?? [];
    return {
      items: references.map(({ channel, connection, place, state, lastSeenAt, lastError, throttledUntil }) => ({
        surface: channel,
        connection,
        place,
        state,
        lastSeenAt: lastSeenAt?.toISOString() ?? null,
        lastError: lastError ?? null,
        throttledUntil: throttledUntil?.toISOString() ?? null,
      })),
    };
  });
}
