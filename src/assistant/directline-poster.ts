// Notices into Direct Line conversations: a row each, whole batches in one transaction, no agent in between. The place is
// the conversation's id. Appending under the delivery's id makes a repeated attempt say it once.
import type { Database } from '../kit/database.ts';
import { Refusal } from '../kit/refusal.ts';
import { ADAPTIVE_CARD_TYPE, toAdaptiveCard } from './cards/adaptive.ts';
import { toText } from './cards/text.ts';
import type { Activity } from './conversations/activity.ts';
import { appendActivities, replaceActivity } from './conversations/append.ts';
import type { Content, Edit, Post, Poster, Result } from './poster.ts';

export type DirectLineDeps = {
  readonly database: Database;
  /** After a commit: `ConversationStreams.wake`. */
  readonly wake: (conversationIds: readonly string[]) => void;
};

export function directLinePoster({ database, wake }: DirectLineDeps): Poster {
  return {
    surface: 'directline',
    async post(posts) {
      const results = await postAll(database, posts);
      wake([...new Set(posts.map(({ reference }) => reference.place))]);
      return results;
    },
    async edit(edits) {
      const results: Result[] = [];
      for (const edit of edits) results.push(await editOne(database, edit));
      wake([...new Set(edits.map(({ reference }) => reference.place))]);
      return results;
    },
  };
}

async function postAll(database: Database, posts: readonly Post[]): Promise<Result[]> {
  const given = posts.map(({ reference, content, deliveryId }) => ({
    conversationId: reference.place,
    activity: activityOf(content),
    id: deliveryId,
  }));
  try {
    const posted = await database.transaction((tx) => appendActivities(tx, given));
    return posted.map(({ id, timestamp }) => ({ kind: 'posted', activityId: id, at: timestamp }));
  } catch (error) {
    const missing = missingIn(error);
    if (missing === undefined) throw error;
    // A conversation that was removed refuses the whole batch: the others go again without it.
    const others = posts.filter(({ reference }) => !missing.has(reference.place));
    const rest = others.length === 0 ? [] : await postAll(database, others);
    return posts.map((post) => rest[others.indexOf(post)] ?? { kind: 'gone', cause: 'conversation_not_found' });
  }
}

async function editOne(database: Database, { reference, content, activityId, postedAt }: Edit): Promise<Result> {
  const replacement = { conversationId: reference.place, id: activityId, activity: activityOf(content) };
  try {
    await database.transaction((tx) => replaceActivity(tx, { ...replacement, author: 'carillon' }));
    return { kind: 'posted', activityId, at: postedAt };
  } catch (error) {
    if (error instanceof Refusal) return { kind: 'gone', cause: error.code };
    throw error;
  }
}

function missingIn(error: unknown): ReadonlySet<string> | undefined {
  if (!(error instanceof Refusal) || error.code !== 'conversation_not_found') return undefined;
  return new Set(error.details.conversations as readonly string[]); // appendActivities names them
}

/** `text` is the twin for whoever shows no cards; `channelData` tells pages which notice it is. */
export function activityOf({ notice, decision, reader }: Content): Activity {
  const { card, id: noticeId } = notice;
  const content = toAdaptiveCard(card, { surface: 'directline', noticeId, decision, reader });
  return {
    type: 'message',
    summary: toText(card, { decision, reader }),
    attachments: [{ contentType: ADAPTIVE_CARD_TYPE, content }],
    channelData: { noticeId, category: notice.category, urgency: notice.urgency },
  };
}
