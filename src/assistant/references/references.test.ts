import { expect, test } from 'vitest';
import { useDatabase } from '../../../test/support/database.ts';
import { putPreferences } from '../../people/preference-records.ts';
import { defaultPreferences } from '../../people/preferences.ts';
import type { Capture } from './reference.ts';
import { captureReference, forgetReferences, markReference, referencesOf, throttleReference } from './references.ts';

const { database } = useDatabase();
const at = (minute: number) => new Date(Date.UTC(2026, 0, 1, 9, minute));
const place = (recipientId: string, channel: Capture['channel'], place: string): Capture => ({
  recipientId,
  channel,
  connection: 'main',
  place,
  address: { conversation: place },
});
const placesOf = async (id: string) => ((await referencesOf(database, [id])).get(id) ?? []).map(({ place }) => place);

test('the place where a person was seen last comes first, then the others', async () => {
  await captureReference(database, { ...place('ada', 'directline', 'web'), seenAt: at(1) });
  await captureReference(database, { ...place('ada', 'teams', 'chat'), seenAt: at(3) });
  await captureReference(database, { ...place('ada', 'slack', 'dm'), seenAt: at(2) });
  await captureReference(database, place('ada', 'teams', 'never spoken'));
  expect(await placesOf('ada')).toEqual(['chat', 'dm', 'web', 'never spoken']);
});

test('the surface that a person prefers comes before the one where they were seen last', async () => {
  await captureReference(database, { ...place('bob', 'directline', 'web'), seenAt: at(1) });
  await captureReference(database, { ...place('bob', 'teams', 'chat'), seenAt: at(3) });
  await database.transaction((tx) =>
    putPreferences(tx, 'bob', { ...defaultPreferences, preferredConversation: 'directline' }),
  );
  expect(await placesOf('bob')).toEqual(['web', 'chat']);
});

test('an older turn that arrives late does not make a place look older', async () => {
  await captureReference(database, { ...place('cleo', 'teams', 'chat'), seenAt: at(9) });
  await captureReference(database, {
    ...place('cleo', 'teams', 'chat'),
    seenAt: at(2),
    address: { serviceUrl: 'new' },
  });
  const [reference] = (await referencesOf(database, ['cleo'])).get('cleo')!;
  expect(reference).toMatchObject({ lastSeenAt: at(9), address: { conversation: 'chat', serviceUrl: 'new' } });
});

test('a place that was blocked or gone is usable again when the person speaks there', async () => {
  const chat = place('dora', 'teams', 'chat');
  await captureReference(database, { ...chat, seenAt: at(1) });
  await markReference(database, chat, 'blocked', 'MessageWritesBlocked');
  expect((await referencesOf(database, ['dora'])).get('dora')).toMatchObject([
    { state: 'blocked', lastError: 'MessageWritesBlocked' },
  ]);
  await captureReference(database, { ...chat, seenAt: at(2) });
  expect((await referencesOf(database, ['dora'])).get('dora')).toMatchObject([{ state: 'ok', lastError: undefined }]);
});

test('a throttle is kept where every node sees it, and a person is forgotten whole', async () => {
  const chat = place('eve', 'teams', 'chat');
  await captureReference(database, chat);
  await throttleReference(database, chat, at(30), 'TooManyRequests');
  expect((await referencesOf(database, ['eve'])).get('eve')).toMatchObject([{ throttledUntil: at(30), state: 'ok' }]);
  await forgetReferences(database, 'eve');
  expect(await placesOf('eve')).toEqual([]);
});
