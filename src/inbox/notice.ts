// Notices: one notification for one recipient, whatever the channel. Written once by the handler, read by every channel.
import type { Urgency } from '../deliveries/channel.ts';
import type { Card } from '../kit/card.ts';
import { type Sql, statement } from '../kit/database.ts';

export type Notice = {
  /** `ntc_...`, derived from the event, the notification and the recipient: a replay makes the same one. */
  readonly id: string;
  readonly recipientId: string;
  readonly topic: string;
  readonly partition: number;
  readonly sequence: number;
  /** The `id` of the event (CloudEvents), or of the message where it was no CloudEvent. */
  readonly eventId: string;
  readonly notification: string;
  readonly category: string;
  readonly urgency: Urgency;
  /** What is to be shown: of a recalled notice only that it was. */
  readonly card: Card;
  readonly createdAt: Date;
  readonly recalledAt?: Date;
};

export type NoticeKey = { readonly recipientId: string; readonly noticeId: string };

type NoticeRow = {
  id: string;
  recipient_id: string;
  topic: string;
  partition: number;
  sequence: number;
  event_id: string;
  notification: string;
  category: string;
  urgency: Urgency;
  card: string;
  created_at: Date;
  recalled_at: Date | null;
  recall_reason: string | null;
};

const FIND = statement(
  'inbox.find-notices',
  `select n.recipient_id, n.id, n.topic, n.partition, n.sequence, n.event_id, n.notification, n.category, n.urgency,
     n.card, n.created_at, n.recalled_at, n.recall_reason
   from unnest($1::text[], $2::text[]) as wanted (recipient_id, id)
   join notice n on n.recipient_id = wanted.recipient_id and n.id = wanted.id`,
);

/** The notices of `keys` by notice id; those that are gone (a forgotten person's) are missing. One round trip. */
export async function findNotices(sql: Sql, keys: readonly NoticeKey[]): Promise<Map<string, Notice>> {
  if (keys.length === 0) return new Map();
  const recipients = keys.map((key) => key.recipientId);
  const rows = await sql.query<NoticeRow>(FIND, [recipients, keys.map((key) => key.noticeId)]);
  return new Map(rows.map((row) => [row.id, noticeOf(row)]));
}

function noticeOf(row: NoticeRow): Notice {
  return {
    id: row.id,
    recipientId: row.recipient_id,
    topic: row.topic,
    partition: row.partition,
    sequence: row.sequence,
    eventId: row.event_id,
    notification: row.notification,
    category: row.category,
    urgency: row.urgency,
    card: cardOf(row),
    createdAt: row.created_at,
    ...(row.recalled_at && { recalledAt: row.recalled_at }),
  };
}

type CardRow = Pick<NoticeRow, 'card' | 'recalled_at' | 'recall_reason'>;

/** What the row has to show. A recalled notice may have gone to the wrong people: nothing of it is shown. */
export function cardOf({ card, recalled_at, recall_reason }: CardRow): Card {
  if (recalled_at !== null) return { title: RECALLED, ...(recall_reason !== null && { body: recall_reason }) };
  return JSON.parse(card) as Card; // true: only checked cards are written
}

const RECALLED = 'This notice was withdrawn';
