// The employee's own app: the inbox and what they want to hear.
import {
  AlertOffRegular,
  MailInboxFilled,
  MailInboxRegular,
  OptionsFilled,
  OptionsRegular,
} from '@fluentui/react-icons';
import { useCallback, useEffect, useState } from 'react';
import type { Category, InboxItem, Page, WhoAmI } from '../kit/api.ts';
import { Empty } from '../kit/Parts.tsx';
import { useResource } from '../kit/resource.ts';
import { to, useRoute } from '../kit/route.ts';
import { Shell } from '../kit/Shell.tsx';
import { SignIn } from '../kit/SignIn.tsx';
import { InboxView } from './InboxView.tsx';
import type { Tab } from './inbox-state.ts';
import { PreferencesPage } from './PreferencesPage.tsx';
import { useInbox } from './use-inbox.ts';

export function MyApp({ who }: { readonly who: WhoAmI }) {
  if (who.recipientId === undefined) return <NotAPerson />;
  return <PersonApp recipientId={who.recipientId} name={who.displayName ?? who.recipientId} />;
}

function PersonApp({ recipientId, name }: { readonly recipientId: string; readonly name: string }) {
  const route = useRoute();
  const [tab, setTab] = useState<Tab>('all');
  const [heard, setHeard] = useState('');
  const onNew = useCallback((item: InboxItem) => setHeard(`New notice: ${item.title}`), []);
  const inbox = useInbox(recipientId, tab, onNew);
  const categories = useResource<Page<Category>>('/v1/categories').value?.items;
  const onPreferences = route[0] === 'preferences';
  useTitle(onPreferences ? 'Preferences' : 'Inbox', inbox.state.unread);
  if (inbox.live === 'signedOut') return <SignIn page="me" />;
  return (
    <Shell home="#/" label="" places={placesOf(onPreferences, inbox.state.unread)} live={inbox.live} who={name}>
      <div className="unseen-text" aria-live="polite">
        {heard}
      </div>
      {onPreferences ? (
        <PreferencesPage recipientId={recipientId} categories={categories} />
      ) : (
        <InboxView
          inbox={inbox}
          tab={tab}
          setTab={setTab}
          openId={route[0] === 'notice' ? route[1] : undefined}
          categories={categories}
          name={name}
        />
      )}
    </Shell>
  );
}

function placesOf(onPreferences: boolean, unread: number) {
  return [
    {
      name: 'Inbox',
      href: '#/',
      current: !onPreferences,
      icon: onPreferences ? <MailInboxRegular /> : <MailInboxFilled />,
      badge: unread,
      badgeLabel: 'unread',
    },
    {
      name: 'Preferences',
      href: to('preferences'),
      current: onPreferences,
      icon: onPreferences ? <OptionsFilled /> : <OptionsRegular />,
    },
  ];
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
