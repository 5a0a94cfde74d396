// The notices by day. Every row is a link, so that keyboards, screen readers and "open in a new tab" work by themselves;
// arrows (or j and k) move between rows, `e` archives, `u` turns read and unread.
import { Button } from '@fluentui/react-button';
import {
  ArchiveArrowBackRegular,
  ArchiveRegular,
  FlashRegular,
  MailReadRegular,
  MailUnreadRegular,
} from '@fluentui/react-icons';
import { Tooltip } from '@fluentui/react-tooltip';
import { type KeyboardEvent, useEffect, useRef } from 'react';
import type { Category, InboxItem } from '../kit/api.ts';
import { Glyph } from '../kit/Parts.tsx';
import { Ago, dayName } from '../kit/time.tsx';
import { questionWords } from './cards/Question.tsx';
import { type Act, noticeAddress } from './InboxView.tsx';
import { isUnread } from './inbox-state.ts';

type NoticeListProps = {
  readonly items: readonly InboxItem[];
  readonly openId: string | undefined;
  readonly categories: readonly Category[] | undefined;
  readonly act: Act;
};

export function NoticeList({ items, openId, categories, act }: NoticeListProps) {
  const days = Map.groupBy(items, (item) => dayName(new Date(item.createdAt), new Date()));
  const onKeyDown = (event: KeyboardEvent<HTMLElement>) => handleKey(event, items, act);
  useEnter(items, openId);
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: the keys are shortcuts; every row and button works without them
    <div className="notices" onKeyDown={onKeyDown}>
      {[...days].map(([day, group]) => (
        <section key={day} aria-label={day}>
          <h2 className="day">{day}</h2>
          <div role="feed" aria-label={day}>
            {group.map((item) => (
              <Row
                key={item.id}
                item={item}
                open={item.id === openId}
                title={categoryTitle(item, categories)}
                act={act}
              />
            ))}
          </div>
        </section>
      ))}
    </div>
  );
}

export function categoryTitle(item: InboxItem, categories: readonly Category[] | undefined): string {
  return categories?.find((category) => category.name === item.category)?.title ?? item.category;
}

type RowProps = { readonly item: InboxItem; readonly open: boolean; readonly title: string; readonly act: Act };

function Row({ item, open, title, act }: RowProps) {
  const unread = isUnread(item);
  const asked = questionWords(item);
  return (
    <article
      className={`row${unread ? ' row-unread' : ''}${open ? ' row-open' : ''}${item.recalledAt ? ' row-recalled' : ''}`}
      aria-labelledby={`row-${item.id}`}
    >
      <a
        id={`row-${item.id}`}
        data-row={item.id}
        href={noticeAddress(item.id)}
        aria-current={open ? 'true' : undefined}
      >
        <Glyph name={item.category} label={title} />
        <span className="row-text">
          <span className="row-top">
            {unread && <span className="unseen-text">Unread. </span>}
            <span className="row-title">{item.title}</span>
            {item.urgency === 'high' && <FlashRegular className="row-urgent" aria-label="Urgent" />}
          </span>
          <span className="row-body">{item.body || title}</span>
          {asked && <span className={`row-asked row-asked-${item.decision?.state ?? 'open'}`}>{asked}</span>}
        </span>
        <span className="row-time">
          <Ago at={item.createdAt} />
          {unread && <span className="row-dot" aria-hidden="true" />}
        </span>
      </a>
      <RowActions item={item} act={act} />
    </article>
  );
}

// Out of the tab order: the same actions are keys on the row and buttons on the open notice.
function RowActions({ item, act }: { readonly item: InboxItem; readonly act: Act }) {
  const unread = item.readAt === null;
  const archived = item.archivedAt !== null;
  const readWords = unread ? 'Mark as read' : 'Mark as unread';
  const archiveWords = archived ? 'Move to the inbox' : 'Archive';
  return (
    <div className="row-actions">
      <Tooltip content={readWords} relationship="label">
        <Button
          tabIndex={-1}
          size="small"
          appearance="subtle"
          icon={unread ? <MailReadRegular /> : <MailUnreadRegular />}
          onClick={() => act(item, unread ? 'read' : 'unread')}
        />
      </Tooltip>
      <Tooltip content={archiveWords} relationship="label">
        <Button
          tabIndex={-1}
          size="small"
          appearance="subtle"
          icon={archived ? <ArchiveArrowBackRegular /> : <ArchiveRegular />}
          onClick={() => act(item, archived ? 'unarchived' : 'archived')}
        />
      </Tooltip>
    </div>
  );
}

// From anywhere on the page `j` and `k` lead into the list: to the open notice's neighbour, else to the first one.
function useEnter(items: readonly InboxItem[], openId: string | undefined): void {
  const latest = useRef({ items, openId });
  latest.current = { items, openId };
  useEffect(() => {
    const onKey = (event: globalThis.KeyboardEvent) => {
      const target = event.target as HTMLElement; // keys go to elements
      const busy = target.closest('input, textarea, select, [role=dialog], [role=menu], [contenteditable], .notices');
      if (busy || event.ctrlKey || event.metaKey || event.altKey || (event.key !== 'j' && event.key !== 'k')) return;
      const { items, openId } = latest.current;
      const index = items.findIndex((item) => item.id === openId);
      focusRow(index < 0 ? items[0] : (items[index + (event.key === 'j' ? 1 : -1)] ?? items[index]));
      event.preventDefault();
    };
    document.addEventListener('keydown', onKey);
    return () => document.removeEventListener('keydown', onKey);
  }, []);
}

const steps: Readonly<Record<string, number>> = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1 };

function handleKey(event: KeyboardEvent<HTMLElement>, items: readonly InboxItem[], act: Act): void {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const id = (event.target as HTMLElement).closest<HTMLElement>('[data-row]')?.dataset.row;
  const index = items.findIndex((item) => item.id === id);
  const item = items[index];
  if (!item) return;
  const neighbour = (by: number) => items[Math.min(items.length - 1, Math.max(0, index + by))];
  const step = steps[event.key];
  if (step !== undefined) focusRow(neighbour(step));
  else if (event.key === 'Home') focusRow(items[0]);
  else if (event.key === 'End') focusRow(items.at(-1));
  else if (event.key === 'u') act(item, item.readAt === null ? 'read' : 'unread');
  else if (event.key === 'e') {
    focusRow(index === items.length - 1 ? items[index - 1] : items[index + 1]);
    act(item, item.archivedAt === null ? 'archived' : 'unarchived');
  } else return;
  event.preventDefault();
}

function focusRow(item: InboxItem | undefined): void {
  if (item) document.getElementById(`row-${item.id}`)?.focus();
}
