// What the assistant does with every turn of a Direct Line conversation before an agent hears of it: remembers that the
// person was there, and takes answers to cards. On the first update the sender's role may be missing, and nothing here
// looks for it: who speaks is what their token says.

import { type AnswerDeps, takeAnswer } from './answering.ts';
import { readAnswer } from './cards/answer-data.ts';
import { appendActivities } from './conversations/append.ts';
import type { Conversation } from './conversations/conversation.ts';
import type { Turn, TurnListener } from './conversations/turns.ts';
import { requestEdits } from './posted.ts';

export type TurnDeps = AnswerDeps & {
  readonly wake: (conversationIds: readonly string[]) => void;
  /** After edits were asked for. */
  readonly edit: () => void;
  /** `Newcomers.seen`. */
  readonly seen: (conversation: Conversation) => Promise<void>;
};

export function turnListener(deps: TurnDeps): TurnListener {
  return async (turn) => {
    await deps.seen(turn.conversation);
    const read = turn.activity.type === 'message' ? readAnswer(turn.activity.value) : undefined;
    if (!read) return undefined;
    const { recipientId } = turn.conversation;
    const key = `directline:${turn.activity.id}`;
    const { counted, refusal, notice } = await takeAnswer(deps, {
      read,
      actorId: recipientId,
      surface: 'directline',
      key,
    });
    if (counted) return 'taken';
    // The card may show something that holds no longer.
    if (notice) await requestEdits(deps.database, [{ recipientId, noticeId: notice.id }]);
    deps.edit();
    await say(deps, turn, refusal!.message);
    return 'taken';
  };
}

async function say({ database, wake }: TurnDeps, { conversation, activity }: Turn, text: string): Promise<void> {
  const reply = { type: 'message', text, ...(activity.id && { replyToId: activity.id }) };
  await database.transaction((tx) => appendActivities(tx, [{ conversationId: conversation.id, activity: reply }]));
  wake([conversation.id]);
}
