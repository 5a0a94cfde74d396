import { expect, test } from 'vitest';
import { useDatabase } from '../../../test/support/database.ts';
import type { Database } from '../../kit/database.ts';
import type { Activity } from '../conversations/activity.ts';
import { openBot } from './bot.ts';
import type { Heard } from './hear.ts';

const { database } = useDatabase();
const categories = new Map([
  ['hr', { title: 'People' }],
  ['safety', { title: 'Safety', locked: true }],
  ['finance', {}],
]);
const deps = { database, categories, mandatory: new Set(['finance']) };

async function ask(
  text: string | undefined,
  more: Partial<Heard> = {},
  from: Database = database,
): Promise<Activity[]> {
  const said: Activity[] = [];
  const say = async (activity: Activity) => void said.push(activity);
  const activity = { type: 'message', ...(text !== undefined && { text }) };
  const bot = openBot({ ...deps, database: from }, () => undefined);
  const failing = await bot({
    recipientId: 'ada',
    surface: 'teams',
    activity,
    say,
    show: async () => true,
    ...more,
  }).then(
    () => undefined,
    (error: unknown) => error,
  );
  if (failing) said.push({ type: 'failed', text: String(failing) });
  return said;
}
const textOf = (said: Activity[]) => said.map(({ text }) => text).join('\n');

test('a locked category cannot be muted, an unknown one is named, and mandatory things still come', async () => {
  expect(textOf(await ask('mute safety until Monday'))).toContain('cannot be muted');
  expect(textOf(await ask('mute marketing'))).toContain('I know no category “marketing”. There are: People (hr)');
  expect(textOf(await ask('mute finance for 2 hours'))).toContain('What is mandatory still comes');
  expect(textOf(await ask('mute people until the cows come home'))).toContain('I do not know when that is');
});

test('muting changes nothing else that a person chose', async () => {
  const { putPreferences, getPreferences } = await import('../../people/preference-records.ts');
  const chosen = {
    SendNotificationToMobileDevice: false,
    SendNotificationToConversation: true,
    categories: { hr: { email: false, when: "type = 'a'" } },
  };
  await database.transaction((tx) => putPreferences(tx, 'ada', chosen));
  await ask('mute hr until Monday');
  const muted = await getPreferences(database, 'ada');
  expect(muted).toMatchObject(chosen);
  expect(muted.categories.hr?.mutedUntil).toBeDefined();
  expect(textOf(await ask('unmute everything'))).toContain('People');
  expect(await getPreferences(database, 'ada')).toEqual(chosen);
});

test('words without sense, and none at all, are answered with what can be asked', async () => {
  expect(textOf(await ask('dsjfkls'))).toContain('You can ask me');
  expect(textOf(await ask(undefined))).toContain('You can ask me');
});

test('suggestions say whom they are for, and null and empty fields hurt nobody', async () => {
  const activity = { type: 'message', text: 'help', locale: '', value: null, from: { id: '' } } as unknown as Activity;
  const [answer] = await ask('help', { activity });
  expect(answer).toMatchObject({ suggestedActions: { to: ['ada'] } });
});

test('an error inside does not reach the person: one sentence that says sorry, and the cause for us', async () => {
  const broken = { query: () => Promise.reject(new Error('secret detail')) } as unknown as Database;
  const said = await ask('what is new', {}, broken);
  expect(said.map(({ type }) => type)).toEqual(['message', 'failed']);
  expect(said[0]!.text).toContain('went wrong on my side');
  expect(said[0]!.text).not.toContain('secret');
  expect(said[1]!.text).toContain('secret detail');
});
