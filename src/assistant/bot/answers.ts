// The assistant's answers, from what is in the database: nothing is made up, and nothing is asked of anybody else.

import { listInbox } from '../../inbox/feed.ts';
import { findNotices } from '../../inbox/notice.ts';
import type { Database } from '../../kit/database.ts';
import { getPreferences, putPreferences } from '../../people/preference-records.ts';
import type { CategorySetting, Preferences } from '../../people/preferences.ts';
import type { Profile } from '../../people/recipient.ts';
import { findRecipients } from '../../people/recipients.ts';
import { decisionsOf } from '../decisions/question.ts';
import type { Heard } from './hear.ts';
import { readIntent } from './intent.ts';
import { lastShown, openAsked, whyOf } from './look-up.ts';
import { parseUntil } from './when.ts';
import { HELP, plain, type Reply, whenText } from './words.ts';

export type BotCategory = { readonly title?: string | undefined; readonly locked?: boolean | undefined };

export type BotDeps = {
  readonly database: Database;
  /** By name; those that notifications name and the config does not are there as well. */
  readonly categories: ReadonlyMap<string, BotCategory>;
  /** Notifications that cannot be muted, by category. */
  readonly mandatory: ReadonlySet<string>;
  readonly now?: () => Date;
};

const SHOWN = 5;
const DEFAULT_MUTE = 'until tomorrow';

export async function answerTo(deps: BotDeps, heard: Heard): Promise<Reply> {
  const intent = readIntent(heard.activity.text ?? '');
  switch (intent.kind) {
    case 'news':
      return news(deps, heard.recipientId);
    case 'approvals':
      return approvals(deps, heard.recipientId);
    case 'why':
      return why(deps, heard);
    case 'mute':
      return mute(deps, heard.recipientId, intent.what, intent.until);
    case 'unmute':
      return unmute(deps, heard.recipientId, intent.what);
    case 'settings':
      return settings(deps, heard.recipientId);
    case 'hello':
      return { ...HELP, text: `Hello. I tell you what concerns you.\n\n${HELP.text}` };
    case 'thanks':
      return { text: 'You are welcome.' };
    case 'help':
      return HELP;
    default:
      return { ...HELP, text: `I did not understand that. ${HELP.text}` };
  }
}

async function news({ database }: BotDeps, recipientId: string): Promise<Reply> {
  const { items, unread } = await listInbox(database, recipientId, { filter: 'unread', limit: SHOWN });
  const approvals = await openAsked(database, recipientId, 1);
  const asking = approvals.length > 0 ? ['Show my approvals'] : [];
  if (unread === 0) return { text: 'Nothing new: you have read everything.', buttons: asking };
  const lines = items.map(({ card }) => `- ${plain(card.title)}`);
  const rest = unread > items.length ? [`- and ${unread - items.length} more, in your inbox`] : [];
  const head = unread === 1 ? 'You have one unread notice:' : `You have ${unread} unread notices:`;
  const categories = [...new Set(items.map(({ category }) => category))].slice(0, 2);
  const mutes = categories.map((category) => `Mute ${category} until Monday`);
  return { text: [head, ...lines, ...rest].join('\n'), buttons: [...asking, ...mutes] };
}

async function approvals(deps: BotDeps, recipientId: string): Promise<Reply> {
  const { database } = deps;
  const keys = await openAsked(database, recipientId, SHOWN + 1);
  if (keys.length === 0) return { text: 'Nothing waits for your answer.', buttons: ['What is new'] };
  const shown = keys.slice(0, SHOWN);
  const [reader, notices, decisions] = await Promise.all([
    personOf(deps, recipientId),
    findNotices(database, shown),
    decisionsOf(
      database,
      shown.map(({ noticeId }) => noticeId),
    ),
  ]);
  const cards = shown.flatMap(({ noticeId }) => {
    const notice = notices.get(noticeId);
    return notice ? [{ notice, decision: decisions.get(noticeId), reader }] : [];
  });
  const more = keys.length > SHOWN ? ' These are the newest.' : '';
  const head =
    cards.length === 1 ? 'One thing waits for your answer:' : `${cards.length} things wait for your answer.${more}`;
  return { text: head, cards };
}

/** About the notice that was replied to, else the last one that this conversation showed. */
async function why(deps: BotDeps, heard: Heard): Promise<Reply> {
  const { recipientId, activity } = heard;
  const noticeId = await lastShown(deps.database, recipientId, activity.replyToId);
  const notice = noticeId && (await findNotices(deps.database, [{ recipientId, noticeId }])).get(noticeId);
  if (!notice) return { text: 'I have told you nothing yet.', buttons: ['What is new'] };
  const reasons = await whyOf(deps.database, recipientId, notice.id);
  const name = titleOf(deps, notice.category);
  const about = `“${plain(notice.card.title)}” is about ${plain(name)} (category ${notice.category}): the notification “${notice.notification}” of the topic “${notice.topic}” names you as somebody whom it concerns.`;
  const chosen = reasons === undefined ? '' : `\n\nWhat decided it, channel by channel: ${plain(reasons)}.`;
  return { text: about + chosen, buttons: [`Mute ${notice.category} until Monday`, 'What is muted'] };
}

async function mute(deps: BotDeps, recipientId: string, what: string, said: string): Promise<Reply> {
  const names = what === '' ? [...deps.categories.keys()] : namesOf(deps, what);
  if (names.length === 0) return unknownCategory(deps, what, 'Mute');
  const timeZone = (await personOf(deps, recipientId))?.timeZone ?? 'UTC';
  const until = parseUntil(said || DEFAULT_MUTE, timeZone, nowOf(deps));
  if (!until)
    return {
      text: `I do not know when that is: “${plain(said)}”. Say for example: mute ${what || 'everything'} until Monday.`,
    };
  const free = names.filter((name) => !deps.categories.get(name)?.locked);
  if (free.length === 0)
    return { text: `${titleOf(deps, names[0]!)} is set by your organisation: it cannot be muted.` };
  await change(deps, recipientId, free, (setting) => ({ ...setting, mutedUntil: until.toISOString() }));
  const shown = what === '' ? 'Everything' : free.map((name) => titleOf(deps, name)).join(', ');
  const still = free.some((name) => deps.mandatory.has(name)) ? ' What is mandatory still comes.' : '';
  const text = `${plain(shown)} is muted until ${whenText(until, timeZone)} (${timeZone}). Your inbox goes on as before.${still}`;
  return { text, buttons: [what === '' ? 'Unmute everything' : `Unmute ${free[0]}`] };
}

async function unmute(deps: BotDeps, recipientId: string, what: string): Promise<Reply> {
  const names = what === '' ? [...deps.categories.keys()] : namesOf(deps, what);
  if (names.length === 0) return unknownCategory(deps, what, 'Unmute');
  const { categories } = await getPreferences(deps.database, recipientId);
  const muted = Object.keys(categories).filter((name) => isMuted(categories[name], nowOf(deps)));
  const wanted = what === '' ? muted : muted.filter((name) => names.includes(name));
  if (wanted.length === 0)
    return {
      text: `${what === '' ? 'Nothing' : plain(titleOf(deps, names[0]!))} is ${what === '' ? '' : 'not '}muted.`,
    };
  await change(deps, recipientId, wanted, ({ mutedUntil: _, ...setting }) => setting);
  return { text: `${plain(wanted.map((name) => titleOf(deps, name)).join(', '))}: no longer muted.` };
}

async function settings(deps: BotDeps, recipientId: string): Promise<Reply> {
  const [preferences, person] = await Promise.all([
    getPreferences(deps.database, recipientId),
    personOf(deps, recipientId),
  ]);
  const timeZone = person?.timeZone ?? 'UTC';
  const muted = Object.entries(preferences.categories).filter(([, setting]) => isMuted(setting, nowOf(deps)));
  const lines = muted.map(
    ([name, setting]) => `- ${plain(titleOf(deps, name))} until ${whenText(new Date(setting.mutedUntil!), timeZone)}`,
  );
  const off = [
    ...(preferences.SendNotificationToMobileDevice ? [] : ['your devices']),
    ...(preferences.SendNotificationToConversation ? [] : ['this conversation']),
  ];
  const flags = off.length > 0 ? `\n\nSwitched off: notices on ${off.join(' and in ')}.` : '';
  if (lines.length === 0) return { text: `Nothing is muted.${flags}`, buttons: ['What is new'] };
  return { text: `Muted:\n${lines.join('\n')}${flags}`, buttons: muted.map(([name]) => `Unmute ${name}`) };
}

async function change(
  { database }: BotDeps,
  recipientId: string,
  names: readonly string[],
  turn: (setting: CategorySetting) => CategorySetting,
): Promise<void> {
  await database.transaction(async (tx) => {
    // Two devices that change preferences at once change them one after the other.
    await tx.query('select 1 from preference where recipient_id = $1 for update', [recipientId]);
    const before = await getPreferences(tx, recipientId);
    const changed = names.map((name) => [name, turn(before.categories[name] ?? {})] as const);
    const preferences: Preferences = {
      ...before,
      categories: { ...before.categories, ...Object.fromEntries(changed) },
    };
    await putPreferences(tx, recipientId, preferences);
  });
}

/** By name, by title, or by the beginning of either. */
function namesOf({ categories }: BotDeps, what: string): string[] {
  const called = [...categories].map(([name, { title = name }]) => ({
    name,
    words: [name.toLowerCase(), title.toLowerCase()],
  }));
  const exact = called.filter(({ words }) => words.includes(what));
  if (exact.length > 0) return exact.map(({ name }) => name);
  const near = called.filter(({ words }) => words.some((word) => word.startsWith(what) || what.startsWith(word)));
  return near.length === 1 ? [near[0]!.name] : [];
}

function unknownCategory({ categories }: BotDeps, what: string, verb: string): Reply {
  const known = [...categories].map(([name, { title }]) => (title ? `${title} (${name})` : name));
  return {
    text: `I know no category “${plain(what)}”. There are: ${plain(known.join(', '))}.`,
    buttons: [...categories.keys()].slice(0, 4).map((name) => `${verb} ${name}`),
  };
}

function isMuted(setting: CategorySetting | undefined, now: Date): boolean {
  return setting?.mutedUntil !== undefined && Date.parse(setting.mutedUntil) > now.getTime();
}

function titleOf({ categories }: BotDeps, name: string): string {
  return categories.get(name)?.title ?? name;
}

async function personOf({ database }: BotDeps, recipientId: string): Promise<Profile | undefined> {
  return (await findRecipients(database, [recipientId])).get(recipientId);
}

function nowOf({ now }: BotDeps): Date {
  return now?.() ?? new Date();
}
