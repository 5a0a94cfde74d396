// One notice, whole: its words, its facts, where it leads, and why it came.
import { Button } from '@fluentui/react-button';
import {
  ArchiveArrowBackRegular,
  ArchiveRegular,
  ArrowLeftRegular,
  FlashRegular,
  MailUnreadRegular,
  OpenRegular,
  QuestionCircleRegular,
} from '@fluentui/react-icons';
import { useEffect, useRef } from 'react';
import type { Category, InboxItem } from '../kit/api.ts';
import { Chip } from '../kit/Parts.tsx';
import { to } from '../kit/route.ts';
import { Exact } from '../kit/time.tsx';
import { type Answer, Question } from './cards/Question.tsx';
import { RawCard } from './cards/RawCard.tsx';
import type { Act } from './InboxView.tsx';
import { categoryTitle } from './NoticeList.tsx';

type NoticeDetailProps = {
  readonly item: InboxItem;
  readonly categories: readonly Category[] | undefined;
  readonly act: Act;
  readonly answer: Answer;
  readonly close: () => void;
};

export function NoticeDetail({ item, categories, act, answer, close }: NoticeDetailProps) {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => heading.current?.focus({ preventScroll: true }), []);
  useEscape(close);
  const { card } = item;
  return (
    <article className="notice" aria-labelledby="notice-title">
      <Toolbar item={item} act={act} close={close} />
      <div className="notice-page">
        <p className="notice-meta">
          <Chip name={item.category}>{categoryTitle(item, categories)}</Chip>
          {item.urgency === 'high' && (
            <span className="notice-urgent">
              <FlashRegular /> Urgent
            </span>
          )}
          <Exact at={item.createdAt} />
        </p>
        <h1 id="notice-title" className={item.recalledAt ? 'notice-recalled' : undefined} ref={heading} tabIndex={-1}>
          {card.title}
        </h1>
        {card.adaptiveCard ? <RawCard item={item} answer={answer} /> : <Words card={card} />}
        <Question item={item} answer={answer} buttons={!card.adaptiveCard} />
        {card.link && (
          <div className="notice-actions">
            <Button
              as="a"
              appearance={card.actions?.length ? 'secondary' : 'primary'}
              icon={<OpenRegular />}
              iconPosition="after"
              href={card.link.url}
              target="_blank"
              rel="noreferrer"
            >
              {card.link.label}
            </Button>
          </div>
        )}
        {item.recalledAt && (
          <p className="question-until">
            Withdrawn by whoever sent it, <Exact at={item.recalledAt} />
          </p>
        )}
        <Why item={item} title={categoryTitle(item, categories)} />
      </div>
    </article>
  );
}

function Toolbar({ item, act, close }: Pick<NoticeDetailProps, 'item' | 'act' | 'close'>) {
  const archived = item.archivedAt !== null;
  return (
    <div className="notice-bar">
      <Button className="notice-back" appearance="subtle" icon={<ArrowLeftRegular />} onClick={close}>
        Inbox
      </Button>
      <Button appearance="subtle" icon={<MailUnreadRegular />} onClick={() => act(item, 'unread')}>
        Mark unread
      </Button>
      <Button
        appearance="subtle"
        icon={archived ? <ArchiveArrowBackRegular /> : <ArchiveRegular />}
        onClick={() => act(item, archived ? 'unarchived' : 'archived')}
      >
        {archived ? 'Move to inbox' : 'Archive'}
      </Button>
    </div>
  );
}

function Words({ card }: { readonly card: InboxItem['card'] }) {
  return (
    <>
      {card.body && <p className="notice-body">{card.body}</p>}
      {card.facts && card.facts.length > 0 && <Facts facts={card.facts} />}
    </>
  );
}

function Facts({ facts }: { readonly facts: NonNullable<InboxItem['card']['facts']> }) {
  return (
    <dl className="facts">
      {facts.map((fact) => (
        <div key={fact.label}>
          <dt>{fact.label}</dt>
          <dd>{fact.value}</dd>
        </div>
      ))}
    </dl>
  );
}

function Why({ item, title }: { readonly item: InboxItem; readonly title: string }) {
  return (
    <aside className="why">
      <QuestionCircleRegular aria-hidden="true" />
      <p>
        You got this because it concerns you and your preferences for <strong>{title}</strong> include the inbox. Its
        name is <code>{item.notification}</code>. <a href={to('preferences')}>Change what you get</a>
      </p>
    </aside>
  );
}

function useEscape(close: () => void): void {
  const latest = useRef(close);
  latest.current = close;
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => event.key === 'Escape' && !event.defaultPrevented && latest.current();
    document.addEventListener('keydown', onKey);
    return () => document.removeEventListener('keydown', onKey);
  }, []);
}
