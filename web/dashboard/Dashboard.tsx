// The platform team's page: what flows, where it waits, whom it reached, what could not be delivered.
import {
  HomeFilled,
  HomeRegular,
  MailAlertFilled,
  MailAlertRegular,
  MegaphoneFilled,
  MegaphoneRegular,
  PeopleFilled,
  PeopleRegular,
  QuestionCircleRegular,
} from '@fluentui/react-icons';
import { type ReactNode, useEffect } from 'react';
import type { WhoAmI } from '../kit/api.ts';
import { Empty } from '../kit/Parts.tsx';
import { to, useRoute } from '../kit/route.ts';
import { Shell } from '../kit/Shell.tsx';
import { SignIn } from '../kit/SignIn.tsx';
import { DeliveriesPage } from './DeliveriesPage.tsx';
import { EventPage } from './EventPage.tsx';
import { HubPage } from './HubPage.tsx';
import { NotificationsPage } from './NotificationsPage.tsx';
import { Overview } from './Overview.tsx';
import { PeoplePage } from './PeoplePage.tsx';
import { PersonPage } from './PersonPage.tsx';
import { deadDeliveriesOf } from './stats.ts';
import { TopicPage } from './TopicPage.tsx';
import { type LiveStats, useStats } from './use-stats.ts';

export function Dashboard({ who }: { readonly who: WhoAmI }) {
  if (who.role !== 'admin') return <NotTheTeam />;
  return <TeamDashboard name={who.displayName ?? 'the platform team'} />;
}

function TeamDashboard({ name }: { readonly name: string }) {
  const route = useRoute();
  const stats = useStats();
  const page = pageOf(route, stats);
  useEffect(() => {
    document.title = `${page.title} · Carillon`;
    window.scrollTo(0, 0);
  }, [page.title]);
  if (stats.live === 'signedOut') return <SignIn page="dashboard" />;
  return (
    <Shell home="#/" label="" places={placesOf(page.place, stats)} live={stats.live} who={name}>
      {page.content}
    </Shell>
  );
}

type PlaceName = 'overview' | 'people' | 'notifications' | 'deliveries';
type PageContent = { readonly place: PlaceName | undefined; readonly title: string; readonly content: ReactNode };

function pageOf([first, second, third, fourth]: readonly string[], stats: LiveStats): PageContent {
  if (first === undefined) return { place: 'overview', title: 'Overview', content: <Overview stats={stats} /> };
  if (first === 'topics' && second !== undefined) {
    if (third === 'events' && fourth !== undefined) {
      const content = <EventPage key={`${second} ${fourth}`} topic={second} sequence={fourth} />;
      return { place: 'overview', title: `Event ${fourth} of ${second}`, content };
    }
    return { place: 'overview', title: second, content: <TopicPage key={second} name={second} stats={stats} /> };
  }
  if (first === 'hubs' && second !== undefined)
    return { place: 'overview', title: `Hub ${second}`, content: <HubPage key={second} name={second} stats={stats} /> };
  if (first === 'people' && second === undefined) return { place: 'people', title: 'People', content: <PeoplePage /> };
  if (first === 'people')
    return { place: 'people', title: second ?? '', content: <PersonPage key={second} id={second ?? ''} /> };
  if (first === 'notifications')
    return { place: 'notifications', title: 'Notifications', content: <NotificationsPage /> };
  if (first === 'deliveries') return { place: 'deliveries', title: 'Dead letters', content: <DeliveriesPage /> };
  return { place: undefined, title: 'Not found', content: <NotFound /> };
}

function placesOf(current: PlaceName | undefined, { history }: LiveStats) {
  const latest = history.at(-1);
  const place = (name: PlaceName, label: string, href: string, on: ReactNode, off: ReactNode) => ({
    name: label,
    href,
    current: current === name,
    icon: current === name ? on : off,
  });
  return [
    place('overview', 'Overview', '#/', <HomeFilled />, <HomeRegular />),
    place('people', 'People', to('people'), <PeopleFilled />, <PeopleRegular />),
    place('notifications', 'Notifications', to('notifications'), <MegaphoneFilled />, <MegaphoneRegular />),
    {
      ...place('deliveries', 'Dead letters', to('deliveries'), <MailAlertFilled />, <MailAlertRegular />),
      badge: latest && deadDeliveriesOf(latest),
      badgeLabel: 'deliveries that were given up',
      badgeTone: 'bad' as const,
    },
  ];
}

function NotFound() {
  return (
    <Empty icon={<QuestionCircleRegular />} title="There is no such page" whole>
      <p>
        <a href="#/">Go to the overview</a>
      </p>
    </Empty>
  );
}

function NotTheTeam() {
  return (
    <main className="sign-in">
      <Empty icon={<PeopleRegular />} title="This page is for the team that runs Carillon" whole>
        <p>
          You are signed in as yourself. <a href="/me">Open your inbox</a>
        </p>
      </Empty>
    </main>
  );
}
