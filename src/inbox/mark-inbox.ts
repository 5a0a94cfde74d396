// The use case behind the API: mark items, and let the person's open pages know.
import type { Database } from '../kit/database.ts';
import type { Counts } from './item.ts';
import { type Mark, markItems, type Which } from './mark.ts';
import type { InboxStream } from './stream.ts';

export type InboxDeps = { readonly database: Database; readonly stream: InboxStream };

export async function markInbox(deps: InboxDeps, recipientId: string, which: Which, as: Mark): Promise<Counts> {
  const marked = await deps.database.transaction((tx) => markItems(tx, recipientId, which, as));
  deps.stream.marked(recipientId, marked, as);
  return { unseen: marked.head.unseen, unread: marked.head.unread };
}
