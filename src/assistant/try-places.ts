// Says a test in the places of a person, and what came of it: for whoever asks why somebody does not hear of things. It
// goes the way of a notice, but no notice is written, and no place is marked for what happens.
import type { Notice } from '../inbox/notice.ts';
import type { Database } from '../kit/database.ts';
import { freshId } from '../kit/ids.ts';
import { getRecipient } from '../people/recipients.ts';
import { conversationOf } from './conversations/conversation.ts';
import { likelyPlaces, type Poster, type Result } from './poster.ts';
import { type Reference, type Surface, unseenPlace } from './references/reference.ts';
import { captureReference, referencesOf } from './references/references.ts';

export type Tried = { readonly surface: Surface; readonly connection: string; readonly place: string } & (
  | { readonly outcome: 'posted' }
  | {
      readonly outcome: Exclude<Result['kind'], 'posted'>;
      readonly cause: string;
      readonly detail?: string | undefined;
    }
);

export type TryDeps = { readonly database: Database; readonly posters: readonly Poster[] };

/** Tries every place of the person, or those of one surface. Refuses `recipient_not_found`. */
export async function tryPlaces(
  { database, posters }: TryDeps,
  { recipientId, surface, text }: { recipientId: string; surface?: Surface | undefined; text: string },
): Promise<Tried[]> {
  const reader = await getRecipient(database, recipientId);
  const known = (await referencesOf(database, [recipientId])).get(recipientId) ?? [];
  const every = [...known, ...likelyPlaces(posters, reader, known)];
  const wanted = every.filter(({ channel }) => surface === undefined || channel === surface);
  const notice = testNotice(recipientId, text);
  const places =
    wanted.length > 0 || (surface !== undefined && surface !== 'directline')
      ? wanted
      : [await standingOf(database, recipientId)];
  return Promise.all(
    places.map(async (reference) => {
      const poster = posters.find((each) => each.surface === reference.channel);
      const about = { surface: reference.channel, connection: reference.connection, place: reference.place };
      if (!poster) return { ...about, outcome: 'stopped', cause: 'no_connection' } as const;
      const [result] = await poster.post([{ reference, content: { notice, reader }, deliveryId: freshId('try') }]);
      return { ...about, ...(await outcomeOf(database, result!)) };
    }),
  );
}

async function outcomeOf(database: Database, result: Result) {
  if (result.kind === 'paced') return { outcome: result.kind, cause: `paced for ${result.retryAfterMs} ms` };
  if (result.kind !== 'posted') return { outcome: result.kind, cause: result.cause, detail: result.detail };
  // A place that was opened for it is one to know from now on.
  if (result.opened) await captureReference(database, result.opened);
  return { outcome: result.kind, ...(result.opened && { place: result.opened.place }) };
}

async function standingOf(database: Database, recipientId: string): Promise<Reference> {
  const { id: place, agent: connection } = await conversationOf(database, recipientId);
  return unseenPlace({ recipientId, channel: 'directline', connection, place });
}

function testNotice(recipientId: string, text: string): Notice {
  const id = freshId('ntc');
  const from = { topic: 'test', partition: 0, sequence: 0, eventId: id, notification: 'test', category: 'test' };
  return { id, recipientId, ...from, urgency: 'normal', card: { title: text }, createdAt: new Date() };
}
