// Something about items has changed that lies in another room (the question on a card was settled): the inboxes count a
// change, so that open pages hear of it on every node, and those that were away when they come back.
import { textArray } from '../kit/arrays.ts';
import { type Database, statement } from '../kit/database.ts';
import type { Head } from './item.ts';
import type { Change } from './mark.ts';
import type { InboxStream } from './stream.ts';

// The heads are locked in order of recipient, as whoever appends does.
const TOUCH = statement(
  'inbox.touch',
  `with heads as (
     select recipient_id from inbox where recipient_id = any($1::text[]) order by recipient_id for update
   )
   update inbox set marks = marks + 1 from heads where inbox.recipient_id = heads.recipient_id
   returning inbox.recipient_id, last_position as position, unseen, unread, marks`,
);

type Touched = { readonly recipientId: string; readonly noticeId: string };

/** Tells the open pages of these people that these items of theirs have changed. At most some hundred at a time. */
export async function touchInboxes(
  deps: { readonly database: Database; readonly stream: Pick<InboxStream, 'marked'> },
  items: readonly Touched[],
  as: Change,
): Promise<void> {
  const ids = textArray(items.map(({ recipientId }) => recipientId));
  const rows = await deps.database.query<Head & { recipient_id: string }>(TOUCH, [ids]);
  const heads = new Map(rows.map(({ recipient_id, ...head }) => [recipient_id, head]));
  for (const { recipientId, noticeId } of items) {
    const head = heads.get(recipientId);
    if (head) deps.stream.marked(recipientId, { ids: [noticeId], head }, as);
  }
}
