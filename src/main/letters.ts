// What a mail says: the notice's card with the recipient's name and language, and the category's title.
import type { ClaimedDelivery } from '../deliveries/channel.ts';
import type { Letter } from '../email/letter.ts';
import type { Definitions } from '../handler/notification.ts';
import { findNotices, type Notice } from '../inbox/notice.ts';
import type { Database } from '../kit/database.ts';
import type { Recipient } from '../people/recipient.ts';
import { findRecipients } from '../people/recipients.ts';

type Find = (deliveries: readonly ClaimedDelivery[]) => Promise<ReadonlyMap<string, Letter>>;

/** By delivery id; a delivery whose notice is gone has no letter. */
export function letterFinder(database: Database, definitions: Definitions): Find {
  return async (deliveries) => {
    const [notices, recipients] = await Promise.all([
      findNotices(database, deliveries),
      findRecipients(database, [...new Set(deliveries.map(({ recipientId }) => recipientId))]),
    ]);
    const found = deliveries.flatMap(({ id, noticeId, recipientId }) => {
      const notice = notices.get(noticeId);
      return notice ? [[id, letterOf(notice, recipients.get(recipientId), definitions)] as const] : [];
    });
    return new Map(found);
  };
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
