// One person: what they were told and why, what they want, what is in their inbox.

import { AlertRegular, MailInboxRegular } from '@fluentui/react-icons';
import { Tab, TabList } from '@fluentui/react-tabs';
import { useState } from 'react';
import type { Category, InboxPage, Page } from '../kit/api.ts';
import { Chip, Empty, Failure, Glyph, Waiting } from '../kit/Parts.tsx';
import { useResource } from '../kit/resource.ts';
import { to } from '../kit/route.ts';
import { Ago } from '../kit/time.tsx';
import { PreferencesForm } from '../preferences/PreferencesForm.tsx';
import { Back } from './Back.tsx';
import type { Recipient } from './PeoplePage.tsx';
import { SignInLink } from './SignInLink.tsx';
import { PersonCard } from './Story.tsx';
import { type PersonStory, peopleOf, type TraceStep } from './story.ts';

type Shown = 'why' | 'preferences' | 'inbox';

export function PersonPage({ id }: { readonly id: string }) {
  const base = `/v1/recipients/${encodeURIComponent(id)}`;
  const person = useResource<Recipient>(base);
  const [shown, setShown] = useState<Shown>('why');
  return (
    <div className="narrow">
      <Back href={to('people')} name="People" />
      {person.error !== undefined && <Failure what={`find ${id}`} error={person.error} retry={person.reload} />}
      {!person.value && person.error === undefined && <Waiting what={id} />}
      {person.value && (
        <>
          <PersonHead person={person.value} />
          <TabList className="tabs" selectedValue={shown} onTabSelect={(_, data) => setShown(data.value as Shown)}>
            <Tab value="why">Told, and why</Tab>
            <Tab value="inbox">Inbox</Tab>
            <Tab value="preferences">Preferences</Tab>
          </TabList>
          <div className="tab-content">
            {shown === 'why' && <Why base={base} />}
            {shown === 'inbox' && <InboxPreview base={base} />}
            {shown === 'preferences' && <Wishes id={id} />}
          </div>
        </>
      )}
    </div>
  );
}

function PersonHead({ person }: { readonly person: Recipient }) {
  const facts = [person.displayName && person.id, person.email, person.locale, person.timeZone].filter(Boolean);
  return (
    <header className="person-head">
      <Glyph name={person.id} label={person.displayName ?? person.id} />
      <div className="person-facts">
        <h1>{person.displayName ?? person.id}</h1>
        <p className="quiet">{facts.join(' · ')}</p>
      </div>
      <SignInLink recipientId={person.id} />
    </header>
  );
}

function Why({ base }: { readonly base: string }) {
  const trace = useResource<{ steps: readonly TraceStep[] }>(`${base}/trace?limit=200`);
  if (trace.error !== undefined) return <Failure what="read the trace" error={trace.error} retry={trace.reload} />;
  if (!trace.value) return <Waiting what="the trace" />;
  const stories = peopleOf(trace.value.steps);
  if (stories.length === 0) {
    return (
      <Empty icon={<AlertRegular />} title="No event has concerned them yet">
        <p>Each one that does is listed here, with what was decided and why.</p>
      </Empty>
    );
  }
  const keyed = new Map(
    trace.value.steps.filter((step) => step.step === 'decide').map((step) => [`${step.at} ${step.notification}`, step]),
  );
  return (
    <div className="person-stories">
      {stories.map((story) => {
        const decision = keyed.get(`${story.at} ${story.notification}`);
        return (
          <PersonCard
            key={`${story.notice ?? story.at} ${story.notification}`}
            story={story}
            heading={<Heading story={story} decision={decision} />}
          />
        );
      })}
    </div>
  );
}

function Heading({ story, decision }: { readonly story: PersonStory; readonly decision: TraceStep | undefined }) {
  const words = (
    <>
      <strong>{story.notification}</strong>
      <span className="quiet">
        <Ago at={story.at} />
      </span>
    </>
  );
  if (decision?.topic === undefined || decision.sequence === undefined)
    return <span className="story-heading">{words}</span>;
  return (
    <a className="story-heading" href={to('topics', decision.topic, 'events', decision.sequence)}>
      <Chip name={decision.topic} />
      {words}
    </a>
  );
}

function InboxPreview({ base }: { readonly base: string }) {
  const inbox = useResource<InboxPage>(`${base}/inbox?limit=20`);
  if (inbox.error !== undefined) return <Failure what="read the inbox" error={inbox.error} retry={inbox.reload} />;
  if (!inbox.value) return <Waiting what="the inbox" />;
  if (inbox.value.items.length === 0) return <Empty icon={<MailInboxRegular />} title="The inbox is empty" />;
  return (
    <>
      <p className="quiet inbox-counts">{inbox.value.unread} unread. Looking here marks nothing as seen or read.</p>
      <ul className="list">
        {inbox.value.items.map((item) => (
          <li key={item.id} className="list-row">
            <Glyph name={item.category} />
            <span className="list-main">
              <strong>{item.title}</strong>
              <span className="quiet">{item.body}</span>
            </span>
            <span className="list-side">
              <Ago at={item.createdAt} />
              <span className="quiet">{item.readAt ? 'read' : item.seenAt ? 'seen' : 'new'}</span>
            </span>
          </li>
        ))}
      </ul>
    </>
  );
}

function Wishes({ id }: { readonly id: string }) {
  const categories = useResource<Page<Category>>('/v1/categories');
  if (categories.error !== undefined)
    return <Failure what="read the categories" error={categories.error} retry={categories.reload} />;
  return <PreferencesForm recipientId={id} categories={categories.value?.items} />;
}
