import { describe, expect, it } from 'vitest';
import type { InboxItem, InboxPage } from '../kit/api.ts';
import { emptyInbox, find, type InboxState, inboxReducer, view } from './inbox-state.ts';

const at = '2026-01-02T03:04:05.000Z';

function item(position: number, more: Partial<InboxItem> = {}): InboxItem {
  return {
    id: `ntc_${position}`,
    position,
    title: `Notice ${position}`,
    body: '',
    card: { title: `Notice ${position}` },
    category: 'hr',
    notification: 'note',
    topic: 'hr',
    urgency: 'normal',
    createdAt: at,
    seenAt: null,
    readAt: null,
    archivedAt: null,
    recalledAt: null,
    ...more,
  };
}

function page(items: readonly InboxItem[], more: Partial<InboxPage> = {}): InboxPage {
  const unseen = items.filter((each) => each.seenAt === null).length;
  const unread = items.filter((each) => each.readAt === null).length;
  return { items, unseen, unread, position: Math.max(0, ...items.map((each) => each.position)), ...more };
}

function loaded(...items: readonly InboxItem[]): InboxState {
  return inboxReducer(emptyInbox, { kind: 'page', tab: 'all', page: page(items), first: true });
}

const positions = (state: InboxState, tab: 'unread' | 'all' | 'archived', openId?: string) =>
  view(state, tab, openId).map((each) => each.position);

describe('the inbox', () => {
  it('shows a new item on top, and the counts that the server sends', () => {
    const state = inboxReducer(loaded(item(1)), { kind: 'item', item: item(2) });
    expect(positions(state, 'all')).toEqual([2, 1]);
    expect(inboxReducer(state, { kind: 'counts', counts: { unseen: 1, unread: 2 } })).toMatchObject({
      unseen: 1,
      unread: 2,
    });
  });

  it('asks nobody for an answer to what they asked for themselves, nor when that was settled', () => {
    const card = { title: 'Budget', actions: [{ id: 'approve', label: 'Approve' }] };
    const asks = (position: number, decision: InboxItem['decision']) =>
      item(position, { card, ...(decision && { decision }) });
    const page = [asks(1, undefined), asks(2, { state: 'open' }), asks(3, { state: 'open', ownRequest: true })];
    const state = inboxReducer(loaded(...page), { kind: 'item', item: asks(4, { state: 'decided' }) });
    expect(view(state, 'needs-answer', undefined).map((each) => each.position)).toEqual([2, 1]);
    expect(positions(state, 'all')).toEqual([4, 3, 2, 1]);
  });

  it('counts a mark once, however often it is told of it', () => {
    const mark = { kind: 'marked', ids: ['ntc_1'], as: 'read', at } as const;
    const once = inboxReducer(loaded(item(1), item(2)), mark);
    expect(once).toMatchObject({ unread: 1, unseen: 1 });
    expect(inboxReducer(once, mark)).toMatchObject({ unread: 1, unseen: 1 });
  });

  it('takes a refused mark back, counts included', () => {
    const before = loaded(item(1), item(2, { seenAt: at }));
    const marked = inboxReducer(before, { kind: 'marked', ids: ['ntc_1', 'ntc_2'], as: 'archived', at });
    expect(positions(marked, 'all')).toEqual([]);
    expect(positions(marked, 'archived')).toEqual([2, 1]);
    expect(marked).toMatchObject({ unread: 0, unseen: 0 });
    const restored = inboxReducer(marked, { kind: 'restored', items: find(before, ['ntc_1', 'ntc_2']) });
    expect(restored.items).toEqual(before.items);
    expect(restored).toMatchObject({ unread: before.unread });
  });

  it('keeps the open notice in the list of unread ones although opening read it', () => {
    const state = inboxReducer(loaded(item(1), item(2)), { kind: 'marked', ids: ['ntc_2'], as: 'read', at });
    expect(positions(state, 'unread')).toEqual([1]);
    expect(positions(state, 'unread', 'ntc_2')).toEqual([2, 1]);
  });

  it('shows no item below which the server may know others that were not read yet', () => {
    const deep = inboxReducer(emptyInbox, { kind: 'page', tab: 'unread', page: page([item(9), item(2)]), first: true });
    const state = inboxReducer(deep, {
      kind: 'page',
      tab: 'all',
      page: page([item(9), item(8)], { next: '8' }),
      first: true,
    });
    expect(positions(state, 'unread')).toEqual([9, 8, 2]);
    expect(positions(state, 'all')).toEqual([9, 8]);
    const more = inboxReducer(state, { kind: 'page', tab: 'all', page: page([item(7), item(2)]), first: false });
    expect(positions(more, 'all')).toEqual([9, 8, 7, 2]);
  });

  it('forgets what a first page does not show any more, but not what came after the page was read', () => {
    const state = inboxReducer(loaded(item(1), item(2)), { kind: 'item', item: item(3) });
    const again = inboxReducer(state, {
      kind: 'page',
      tab: 'all',
      page: page([item(2)], { position: 2 }),
      first: true,
    });
    expect(positions(again, 'all')).toEqual([3, 2]);
  });
});
