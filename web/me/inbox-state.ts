// What the inbox page knows. Pure: every change of the list, whoever caused it, goes through `inboxReducer`.
//
// All items live in one table; a tab is a view of it. A tab has read the server's list down to its `floor`: older items
// that another tab happens to know are not shown in it, because the items between them are still unread from the server.
import type { Counts, Decision, InboxItem, InboxPage, Mark } from '../kit/api.ts';

export const tabs = ['unread', 'needs-answer', 'all', 'archived'] as const;
export type Tab = (typeof tabs)[number];

type Reading = { readonly loaded: boolean; readonly floor: number; readonly next: string | undefined };

export type InboxState = Counts & {
  readonly items: Readonly<Record<string, InboxItem>>;
  readonly readings: Readonly<Record<Tab, Reading>>;
};

export type InboxChange =
  | { readonly kind: 'page'; readonly tab: Tab; readonly page: InboxPage; readonly first: boolean }
  | { readonly kind: 'item'; readonly item: InboxItem }
  | { readonly kind: 'counts'; readonly counts: Counts }
  | { readonly kind: 'marked'; readonly ids: readonly string[]; readonly as: Mark; readonly at: string }
  /** Questions were settled, here or elsewhere. */
  | { readonly kind: 'decided'; readonly items: readonly { readonly id: string; readonly decision: Decision }[] }
  /** The server refused a mark: those items are again what they were. */
  | { readonly kind: 'restored'; readonly items: readonly InboxItem[] };

const unreadSoFar: Reading = { loaded: false, floor: 0, next: undefined };

export const emptyInbox: InboxState = {
  items: {},
  unseen: 0,
  unread: 0,
  readings: { unread: unreadSoFar, 'needs-answer': unreadSoFar, all: unreadSoFar, archived: unreadSoFar },
};

export function inboxReducer(state: InboxState, change: InboxChange): InboxState {
  switch (change.kind) {
    case 'page':
      return takePage(state, change.tab, change.page, change.first);
    case 'item':
      return { ...state, items: { ...state.items, [change.item.id]: change.item } };
    case 'counts':
      return { ...state, ...change.counts };
    case 'marked':
      return replace(
        state,
        find(state, change.ids).map((item) => markItem(item, change.as, change.at)),
      );
    case 'decided':
      return replace(
        state,
        change.items.flatMap(({ id, decision }) => find(state, [id]).map((item) => ({ ...item, decision }))),
      );
    case 'restored':
      return replace(state, change.items);
  }
}

/** What a tab shows, newest first. The open item stays in view although reading it took it out of `unread`. */
export function view(state: InboxState, tab: Tab, openId: string | undefined): InboxItem[] {
  const { floor } = state.readings[tab];
  return Object.values(state.items)
    .filter((item) => item.position >= floor && (belongs(item, tab) || item.id === openId))
    .sort((a, b) => b.position - a.position);
}

export function find(state: InboxState, ids: readonly string[]): InboxItem[] {
  return ids.map((id) => state.items[id]).filter((item) => item !== undefined);
}

function belongs(item: InboxItem, tab: Tab): boolean {
  if (tab === 'archived') return item.archivedAt !== null;
  if (item.archivedAt !== null) return false;
  if (tab === 'needs-answer') return needsAnswer(item);
  return tab === 'all' || isUnread(item);
}

export function isUnread({ readAt, recalledAt }: InboxItem): boolean {
  return readAt === null && recalledAt === null;
}

function needsAnswer({ card, decision, recalledAt }: InboxItem): boolean {
  return recalledAt === null && card.actions !== undefined && card.actions.length > 0 && canAnswer(decision);
}

/** A card whose decision is not known asks. */
export function canAnswer(decision: Decision | undefined): boolean {
  return decision === undefined || (decision.state === 'open' && !decision.ownRequest);
}

function takePage(state: InboxState, tab: Tab, page: InboxPage, first: boolean): InboxState {
  const next = page.next ?? undefined;
  const floor = next === undefined ? 0 : (page.items.at(-1)?.position ?? 0);
  const kept = first ? forgetCovered(state, tab, floor, page.position) : state.items;
  return {
    items: { ...kept, ...Object.fromEntries(page.items.map((item) => [item.id, item])) },
    unseen: page.unseen,
    unread: page.unread,
    readings: { ...state.readings, [tab]: { loaded: true, floor, next } },
  };
}

// The first page tells the truth about everything from its floor up to the position it was read at: what the tab
// believed to have there and the page does not show has been marked, archived or removed meanwhile.
function forgetCovered(state: InboxState, tab: Tab, floor: number, position: number): Record<string, InboxItem> {
  const covered = (item: InboxItem) => belongs(item, tab) && item.position >= floor && item.position <= position;
  return Object.fromEntries(Object.entries(state.items).filter(([, item]) => !covered(item)));
}

function replace(state: InboxState, items: readonly InboxItem[]): InboxState {
  const delta = (count: (item: InboxItem) => boolean) =>
    items.reduce((sum, item) => sum + Number(count(item)) - Number(count(state.items[item.id] ?? item)), 0);
  return {
    ...state,
    items: { ...state.items, ...Object.fromEntries(items.map((item) => [item.id, item])) },
    unseen: Math.max(
      0,
      state.unseen + delta((item) => item.seenAt === null && item.archivedAt === null && item.recalledAt === null),
    ),
    unread: Math.max(0, state.unread + delta((item) => isUnread(item) && item.archivedAt === null)),
  };
}

function markItem(item: InboxItem, as: Mark, at: string): InboxItem {
  const seenAt = item.seenAt ?? at;
  switch (as) {
    case 'seen':
      return { ...item, seenAt };
    case 'read':
      return { ...item, seenAt, readAt: item.readAt ?? at };
    case 'unread':
      return { ...item, readAt: null };
    case 'archived':
      return { ...item, seenAt, archivedAt: item.archivedAt ?? at };
    case 'unarchived':
      return { ...item, archivedAt: null };
  }
}
