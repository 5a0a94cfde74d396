// What a person sees in their inbox: a notice with its place and its states.
import type { Card } from '../kit/card.ts';
import type { Notice } from './notice.ts';

export type InboxItem = {
  /** The id of the notice. */
  readonly id: string;
  /** The item's place in this person's inbox: 1, 2, 3, ... without gaps, in the order in which they came. */
  readonly position: number;
  readonly title: string;
  readonly body: string;
  readonly card: Card;
  readonly category: string;
  readonly notification: string;
  readonly topic: string;
  readonly urgency: Notice['urgency'];
  readonly createdAt: Date;
  /** The panel was open with the item in it. */
  readonly seenAt: Date | null;
  /** The item itself was opened; implies seen. */
  readonly readAt: Date | null;
  readonly archivedAt: Date | null;
  /** Whoever sent it took it back; its words are gone. */
  readonly recalledAt: Date | null;
};

/** What badges show. Archived and recalled items count as neither. */
export type Counts = { readonly unseen: number; readonly unread: number };

/** The head of an inbox: counts, the position of the newest item, and how often states were marked. */
export type Head = Counts & { readonly position: number; readonly marks: number };

export const emptyHead: Head = { unseen: 0, unread: 0, position: 0, marks: 0 };

/** A notice that has just been put into the inbox. */
export function newItem(notice: Notice, position: number): InboxItem {
  return {
    id: notice.id,
    position,
    title: notice.card.title,
    body: notice.card.body ?? '',
    card: notice.card,
    category: notice.category,
    notification: notice.notification,
    topic: notice.topic,
    urgency: notice.urgency,
    createdAt: notice.createdAt,
    seenAt: null,
    readAt: null,
    archivedAt: null,
    recalledAt: null,
  };
}
