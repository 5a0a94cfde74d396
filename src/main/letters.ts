// What a mail says: the notice's card with the recipient's name and language, the category's title, and where it can be
// answered.
import { canAnswer, type Decision, decisionText } from '../assistant/cards/decision.ts';
import { type AnswerKeys, answerPath } from '../assistant/decisions/link.ts';
import { decisionsOf } from '../assistant/decisions/question.ts';
import type { ClaimedDelivery } from '../deliveries/channel.ts';
import type { Letter } from '../email/letter.ts';
import type { Definitions } from '../handler/notification.ts';
import { findNotices, type Notice } from '../inbox/notice.ts';
import type { Database } from '../kit/database.ts';
import type { Recipient } from '../people/recipient.ts';
import { findRecipients } from '../people/recipients.ts';

type Find = (deliveries: readonly ClaimedDelivery[]) => Promise<ReadonlyMap<string, Letter>>;

/** By delivery id; a delivery whose notice is gone, or was recalled, has no letter. */
export function letterFinder(database: Database, definitions: Definitions, keys: AnswerKeys): Find {
  return async (deliveries) => {
    const [notices, recipients] = await Promise.all([
      findNotices(database, deliveries),
      findRecipients(database, [...new Set(deliveries.map(({ recipientId }) => recipientId))]),
    ]);
    const asking = [...notices.values()].filter(({ card }) => card.actions?.length).map(({ id }) => id);
    const decisions = await decisionsOf(database, asking);
    const found = deliveries.flatMap(({ id, noticeId, recipientId }) => {
      const notice = notices.get(noticeId);
      if (!notice || notice.recalledAt) return [];
      const recipient = recipients.get(recipientId);
      const letter = letterOf(notice, recipient, definitions);
      return [
        [id, { ...letter, ...answersOf(notice, recipient, decisions.get(noticeId), definitions, keys) }] as const,
      ];
    });
    return new Map(found);
  };
}

const LINK_LIVES_MS = 30 * 24 * 60 * 60_000;

function answersOf(
  notice: Notice,
  recipient: Recipient | undefined,
  decision: Decision | undefined,
  definitions: Definitions,
  keys: AnswerKeys,
): Pick<Letter, 'answers' | 'settled'> {
  if (!decision) return {};
  if (!canAnswer(decision)) return { settled: decisionText(notice.card, decision, recipient) };
  const { answers } = definitions.all.find(({ name }) => name === notice.notification) ?? {};
  if (answers?.byMail === false) return {};
  const latest = Date.now() + LINK_LIVES_MS;
  const expiresAt = new Date(Math.min(latest, decision.expiresAt?.getTime() ?? latest));
  const { id: noticeId, recipientId } = notice;
  const paths = (notice.card.actions ?? []).map(
    ({ id: actionId }) => [actionId, answerPath({ recipientId, noticeId, actionId, expiresAt }, keys)] as const,
  );
  return { answers: new Map(paths) };
}

function letterOf(notice: Notice, recipient: Recipient | undefined, definitions: Definitions): Letter {
  const { mandatory } = definitions.all.find(({ name }) => name === notice.notification) ?? {};
  return {
    card: notice.card,
    category: notice.category,
    categoryTitle: definitions.categories.get(notice.category)?.title,
    recipientId: notice.recipientId,
    recipientName: recipient?.displayName,
    locale: recipient?.locale,
    noticeId: notice.id,
    mandatory: mandatory === true || (Array.isArray(mandatory) && mandatory.includes('email')),
  };
}
