// The employee's own app: the inbox, the conversation with the assistant, the devices that are pushed to, and what they want to hear.
import { Button } from '@fluentui/react-button';
import {
  AlertOffRegular,
  ArrowClockwiseRegular,
  ChatFilled,
  ChatRegular,
  MailInboxFilled,
  MailInboxRegular,
  OptionsFilled,
  OptionsRegular,
  PhoneLaptopFilled,
  PhoneLaptopRegular,
} from '@fluentui/react-icons';
import { lazy, Suspense, useCallback, useEffect, useState } from 'react';
import type { Category, InboxItem, Page, WhoAmI } from '../kit/api.ts';
import { Empty, Waiting } from '../kit/Parts.tsx';
import { useResource } from '../kit/resource.ts';
import { to, useRoute } from '../kit/route.ts';
import { type Place, Shell } from '../kit/Shell.tsx';
import { SignIn } from '../kit/SignIn.tsx';
import { useAppBadge, useServiceWorker } from '../push/app.ts';
import { turnOffBeforeLeaving } from '../push/this-browser.ts';
import { useThisBrowser } from '../push/use-this-browser.ts';
import { DevicesPage } from './devices/DevicesPage.tsx';
import { PushHint } from './devices/PushHint.tsx';
import { InboxView } from './InboxView.tsx';
import type { Tab } from './inbox-state.ts';
import { PreferencesPage } from './PreferencesPage.tsx';
import { useInbox } from './use-inbox.ts';

const AssistantPanel = lazy(() => import('./assistant/AssistantPanel.tsx'));

export function MyApp({ who }: { readonly who: WhoAmI }) {
  if (who.recipientId === undefined) return <NotAPerson />;
  return <PersonApp recipientId={who.recipientId} name={who.displayName ?? who.recipientId} />;
}

const pages = {
  inbox: { name: 'Inbox', href: '#/', on: <MailInboxFilled />, off: <MailInboxRegular /> },
  assistant: { name: 'Assistant', href: to('assistant'), on: <ChatFilled />, off: <ChatRegular /> },
  devices: { name: 'Devices', href: to('devices'), on: <PhoneLaptopFilled />, off: <PhoneLaptopRegular /> },
  preferences: { name: 'Preferences', href: to('preferences'), on: <OptionsFilled />, off: <OptionsRegular /> },
};
type PageName = keyof typeof pages;

function PersonApp({ recipientId, name }: { readonly recipientId: string; readonly name: string }) {
  const route = useRoute();
  const page = pageOf(route);
  const talked = useEver(page === 'assistant');
  const [tab, setTab] = useState<Tab>('all');
  const [heard, setHeard] = useState('');
  const onNew = useCallback((item: InboxItem) => setHeard(`New notice: ${item.title}`), []);
  const inbox = useInbox(recipientId, tab, onNew);
  const categories = useResource<Page<Category>>('/v1/categories').value?.items;
  const browser = useThisBrowser(recipientId);
  const update = useServiceWorker();
  const { unread } = inbox.state;
  useTitle(pages[page].name, unread);
  useAppBadge(unread);
  useForgotten(heard, setHeard);
  if (inbox.live === 'signedOut') return <SignIn page="me" />;
  const leave = () => turnOffBeforeLeaving(recipientId);
  return (
    <Shell home="#/" label="" places={placesOf(page, unread)} live={inbox.live} who={name} beforeLeaving={leave}>
      <div className="unseen-text" aria-live="polite">
        {heard}
      </div>
      {update && <NewVersion update={update} />}
      {page === 'preferences' && <PreferencesPage recipientId={recipientId} categories={categories} />}
      {talked && (
        <Suspense fallback={<Waiting what="the conversation" />}>
          <AssistantPanel recipientId={recipientId} name={name} hidden={page !== 'assistant'} />
        </Suspense>
      )}
      {page === 'devices' && <DevicesPage recipientId={recipientId} browser={browser} />}
      {page === 'inbox' && (
        <InboxView
          inbox={inbox}
          tab={tab}
          setTab={setTab}
          openId={route[0] === 'notice' ? route[1] : undefined}
          categories={categories}
          name={name}
          above={<PushHint browser={browser} />}
        />
      )}
    </Shell>
  );
}

function pageOf([first = '']: readonly string[]): PageName {
  return Object.hasOwn(pages, first) ? (first as PageName) : 'inbox'; // its own keys are its names
}

/** What was read out need not stay: it may be taken back. */
function useForgotten(heard: string, setHeard: (text: string) => void): void {
  useEffect(() => {
    if (heard === '') return;
    const timer = setTimeout(() => setHeard(''), 5_000);
    return () => clearTimeout(timer);
  }, [heard, setHeard]);
}

/** Whether it has been true before: what was opened once stays. */
function useEver(now: boolean): boolean {
  const [ever, setEver] = useState(now);
  useEffect(() => {
    if (now) setEver(true);
  }, [now]);
  return ever || now;
}

function placesOf(current: PageName, unread: number): Place[] {
  return Object.entries(pages).map(([key, { name, href, on, off }]) => ({
    name,
    href,
    current: key === current,
    icon: key === current ? on : off,
    ...(key === 'inbox' && { badge: unread, badgeLabel: 'unread' }),
  }));
}

function NewVersion({ update }: { readonly update: () => void }) {
  return (
    <div className="note note-new" role="status">
      <ArrowClockwiseRegular className="note-icon" />
      <p className="note-text">There is a new version of this page.</p>
      <Button size="small" appearance="primary" onClick={update}>
        Reload
      </Button>
    </div>
  );
}

function useTitle(place: string, unread: number): void {
  useEffect(() => {
    document.title = `${unread > 0 ? `(${unread}) ` : ''}${place} · Carillon`;
  }, [place, unread]);
}

function NotAPerson() {
  return (
    <main className="sign-in">
      <Empty icon={<AlertOffRegular />} title="You are signed in as the platform team" whole>
        <p>This page is a person's own inbox, and your key is nobody's in particular.</p>
        <p>
          <a href="/#/people">Choose a person in the dashboard</a> to see their inbox and to make a sign-in link for
          them.
        </p>
      </Empty>
    </main>
  );
}
