// The list and the open notice: side by side where there is room, one after the other on a phone.
import { Button } from '@fluentui/react-button';
import { AlertRegular, ArchiveRegular, CheckmarkCircleRegular, MailReadRegular } from '@fluentui/react-icons';
import { Tab as FluentTab, TabList } from '@fluentui/react-tabs';
import { type ReactNode, useEffect, useRef, useState } from 'react';
import type { Category, InboxItem, Mark } from '../kit/api.ts';
import { Empty, Failure, Waiting } from '../kit/Parts.tsx';
import { go, to } from '../kit/route.ts';
import { useToasts } from '../kit/toasts.tsx';
import type { Answer } from './cards/Question.tsx';
import { type Tab, tabs, view } from './inbox-state.ts';
import { NoticeDetail } from './NoticeDetail.tsx';
import { NoticeList } from './NoticeList.tsx';
import type { Inbox } from './use-inbox.ts';
import { WhatWillCome } from './WhatWillCome.tsx';

type InboxViewProps = {
  readonly inbox: Inbox;
  readonly tab: Tab;
  readonly setTab: (tab: Tab) => void;
  readonly openId: string | undefined;
  readonly categories: readonly Category[] | undefined;
  readonly name: string;
  /** Stands above the list. */
  readonly above?: ReactNode;
};

export function InboxView({ inbox, tab, setTab, openId, categories, name, above }: InboxViewProps) {
  const { state } = inbox;
  const items = view(state, tab, openId);
  const open = openId === undefined ? undefined : state.items[openId];
  const act = useActions(inbox, openId);
  const missing = useOpenNotice(inbox, openId);
  useSeen(inbox, items);
  useReadWhenOpened(inbox, open);
  const blank = tab === 'all' && items.length === 0 && state.readings.all.loaded && !missing;
  return (
    <div className={blank ? 'inbox inbox-blank' : open || missing ? 'inbox inbox-open' : 'inbox'}>
      <section className="inbox-list" aria-label="Notices">
        <div className="inbox-head">
          <h1>Inbox</h1>
          <Button
            appearance="subtle"
            size="small"
            icon={<MailReadRegular />}
            disabled={state.unread === 0}
            onClick={act.readAll}
          >
            Mark all read
          </Button>
        </div>
        {above}
        <Tabs tab={tab} setTab={setTab} unread={state.unread} />
        {inbox.error !== undefined && <Failure what="load your inbox" error={inbox.error} retry={inbox.reload} />}
        {items.length > 0 && <NoticeList items={items} openId={openId} categories={categories} act={act.mark} />}
        <ListEnd inbox={inbox} tab={tab} count={items.length} categories={categories} name={name} />
      </section>
      <section className="inbox-detail" aria-label="Open notice">
        {open ? (
          <NoticeDetail
            key={open.id}
            item={open}
            categories={categories}
            act={act.mark}
            answer={act.answer}
            close={act.close}
          />
        ) : missing ? (
          <NotHere close={act.close} />
        ) : (
          <div className="inbox-nothing">
            <AlertRegular aria-hidden="true" />
            <p>{items.length > 0 ? 'Choose a notice to read it here' : 'Notices open here'}</p>
          </div>
        )}
      </section>
    </div>
  );
}

const tabWords: Record<Tab, string> = {
  unread: 'Unread',
  'needs-answer': 'To answer',
  all: 'All',
  archived: 'Archived',
};

function Tabs({
  tab,
  setTab,
  unread,
}: {
  readonly tab: Tab;
  readonly setTab: (tab: Tab) => void;
  readonly unread: number;
}) {
  return (
    <TabList className="tabs" selectedValue={tab} onTabSelect={(_, data) => setTab(data.value as Tab)} size="small">
      {tabs.map((name) => (
        <FluentTab key={name} value={name}>
          {tabWords[name]}
          {name === 'unread' && unread > 0 ? <span className="tab-count">{unread}</span> : null}
        </FluentTab>
      ))}
    </TabList>
  );
}

type ListEndProps = Pick<InboxViewProps, 'inbox' | 'tab' | 'categories' | 'name'> & { readonly count: number };

function ListEnd({ inbox, tab, count, categories, name }: ListEndProps) {
  const { loaded, next } = inbox.state.readings[tab];
  const end = useRef<HTMLDivElement>(null);
  const { loadMore } = inbox;
  useEffect(() => {
    if (next === undefined || !end.current) return;
    const observer = new IntersectionObserver((entries) => entries.some((entry) => entry.isIntersecting) && loadMore());
    observer.observe(end.current);
    return () => observer.disconnect();
  }, [next, loadMore]);
  if (!loaded) return inbox.error === undefined ? <Waiting what="your inbox" /> : null;
  if (next !== undefined) {
    return (
      <div ref={end} className="inbox-more">
        <Button onClick={loadMore}>Show older notices</Button>
      </div>
    );
  }
  if (count > 0) return <p className="inbox-end">That is all.</p>;
  return <NothingHere tab={tab} categories={categories} name={name} />;
}

function NothingHere({ tab, categories, name }: Pick<ListEndProps, 'tab' | 'categories' | 'name'>) {
  if (tab === 'unread') {
    return (
      <Empty icon={<CheckmarkCircleRegular />} title="All read">
        <p>New notices show here the moment they happen.</p>
      </Empty>
    );
  }
  if (tab === 'needs-answer') {
    return (
      <Empty icon={<CheckmarkCircleRegular />} title="Nothing waits for you">
        <p>What asks for your answer shows here until somebody has given it.</p>
      </Empty>
    );
  }
  if (tab === 'archived') {
    return (
      <Empty icon={<ArchiveRegular />} title="Nothing archived">
        <p>Archive what is done with. It stays here, out of the way.</p>
      </Empty>
    );
  }
  return <WhatWillCome categories={categories} name={name} />;
}

export type Act = (item: InboxItem, as: Mark) => void;

const markWords: Record<Mark, { readonly done: string; readonly failed: string; readonly undo: Mark } | undefined> = {
  archived: { done: 'Archived', failed: 'archive the notice', undo: 'unarchived' },
  unarchived: { done: 'Moved to the inbox', failed: 'move the notice', undo: 'archived' },
  read: undefined,
  unread: undefined,
  seen: undefined,
};

function useActions(inbox: Inbox, openId: string | undefined) {
  const toasts = useToasts();
  const close = () => {
    go('#/');
    if (openId) requestAnimationFrame(() => document.getElementById(`row-${openId}`)?.focus());
  };
  const mark: Act = (item, as) => {
    const words = markWords[as];
    if (item.id === openId && (as === 'archived' || as === 'unread')) close();
    inbox.mark([item.id], as).then(
      () => words && toasts.say(words.done, () => mark(item, words.undo)),
      (error: unknown) => toasts.fail(words?.failed ?? `mark the notice ${as}`, error),
    );
  };
  const readAll = () => void inbox.markAllRead().catch((error: unknown) => toasts.fail('mark all read', error));
  const answer: Answer = async (item, actionId, inputs) => {
    try {
      await inbox.answer(item, actionId, inputs);
    } catch (error) {
      toasts.fail('give your answer', error);
      throw error;
    }
  };
  return { mark, readAll, close, answer };
}

/** Reads the notice of the address if the list has not come to it; true when it is not in this inbox. */
function useOpenNotice({ state, readOne }: Inbox, id: string | undefined): boolean {
  const [missing, setMissing] = useState<string>();
  const known = id === undefined || state.items[id] !== undefined || !state.readings.all.loaded;
  useEffect(() => {
    if (known || id === undefined) return;
    readOne(id).catch(() => setMissing(id));
  }, [known, id, readOne]);
  return !known && missing === id;
}

function NotHere({ close }: { readonly close: () => void }) {
  return (
    <Empty icon={<AlertRegular />} title="This notice is not in your inbox">
      <p>It was for somebody else, or it is so old that it is no longer kept.</p>
      <Button onClick={close}>Back to the inbox</Button>
    </Empty>
  );
}

// What is on the screen of somebody who is looking has been seen. Failing to say so harms nobody; the next time does it.
function useSeen(inbox: Inbox, items: readonly InboxItem[]): void {
  const ids = items.filter((item) => item.seenAt === null).map((item) => item.id);
  const key = ids.join(' ');
  const { mark } = inbox;
  useEffect(() => {
    if (key === '') return;
    const timer = setTimeout(() => document.hidden || mark(key.split(' '), 'seen').catch(() => undefined), 800);
    return () => clearTimeout(timer);
  }, [key, mark]);
}

// Once per opening: marking an open notice unread must not read it again.
function useReadWhenOpened(inbox: Inbox, open: InboxItem | undefined): void {
  const toasts = useToasts();
  const { mark } = inbox;
  const id = open?.id;
  const latest = useRef(open);
  latest.current = open;
  useEffect(() => {
    if (id === undefined || latest.current?.readAt !== null) return;
    mark([id], 'read').catch((error: unknown) => toasts.fail('mark the notice read', error));
  }, [id, mark, toasts]);
}

export function noticeAddress(id: string): string {
  return to('notice', id);
}
