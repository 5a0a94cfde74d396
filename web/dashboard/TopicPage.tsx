// One topic: how much comes in, who reads it and how far behind they are, and the latest events.
import { ChevronRightRegular, StreamRegular } from '@fluentui/react-icons';
import type { Page } from '../kit/api.ts';
import { Chip, Empty, Failure, Waiting } from '../kit/Parts.tsx';
import { useResource } from '../kit/resource.ts';
import { to } from '../kit/route.ts';
import { Ago } from '../kit/time.tsx';
import { Back } from './Back.tsx';
import { BacklogCells, type Column, Grid, RateCells } from './Grid.tsx';
import { Sparkline } from './Sparkline.tsx';
import { count, publishedOf, rate, rates, recent, type Stats, type SubscriptionStats } from './stats.ts';
import { useReloadOnChange } from './use-reload.ts';
import type { LiveStats } from './use-stats.ts';

export type LoggedEvent = {
  readonly sequence: number;
  readonly partition: number;
  readonly enqueuedAt: string;
  readonly event: { readonly id: string; readonly type?: string; readonly source?: string; readonly subject?: string };
  /** Why it could not be read as an event. */
  readonly problem?: string;
};

export function TopicPage({ name, stats: { history } }: { readonly name: string; readonly stats: LiveStats }) {
  const latest = history.at(-1);
  const topic = latest?.topics.find((each) => each.name === name);
  const values = rates(history, (stats) => publishedOf(stats, name));
  return (
    <div className="wide">
      <Back href="#/" name="Overview" />
      <h1>
        Topic <Chip name={name} />
      </h1>
      {latest && !topic && <p className="quiet">There is no topic of this name now.</p>}
      <section className="card chart" aria-label="Events per second, last minute">
        <p>
          <span className="tile-value">{rate(recent(values))}</span>{' '}
          <span className="tile-unit">events per second</span>
          <span className="chart-total">{topic ? count(topic.published) : 0} since the start</span>
        </p>
        <Sparkline values={values} width={600} height={90} />
      </section>
      <section aria-labelledby="subscriptions-title">
        <h2 id="subscriptions-title">Subscriptions</h2>
        {topic && topic.subscriptions.length > 0 ? (
          <Subscriptions topic={name} subscriptions={topic.subscriptions} history={history} />
        ) : (
          <p className="quiet">Nobody reads this topic.</p>
        )}
      </section>
      <Events topic={name} published={topic?.published ?? 0} />
    </div>
  );
}

type SubscriptionsProps = {
  readonly topic: string;
  readonly subscriptions: readonly SubscriptionStats[];
  readonly history: readonly Stats[];
};

const subscriptionColumns: readonly Column[] = [
  { name: 'Subscription' },
  { name: 'Last minute', kind: 'chart' },
  { name: 'Handled/s', kind: 'number' },
  { name: 'Behind', kind: 'number' },
  { name: 'Dead', kind: 'number' },
];

function Subscriptions({ topic, subscriptions, history }: SubscriptionsProps) {
  const handledOf = (stats: Stats, name: string) =>
    stats.topics.find((each) => each.name === topic)?.subscriptions.find((each) => each.name === name)?.handled ?? 0;
  return (
    <Grid columns={subscriptionColumns}>
      {subscriptions.map((subscription) => {
        const values = rates(history, (stats) => handledOf(stats, subscription.name));
        return (
          <tr key={subscription.name}>
            <th scope="row">{subscription.name}</th>
            <RateCells values={values} />
            <BacklogCells behind={subscription.backlog} dead={subscription.dead} />
          </tr>
        );
      })}
    </Grid>
  );
}

function Events({ topic, published }: { readonly topic: string; readonly published: number }) {
  const events = useResource<Page<LoggedEvent>>(`/v1/topics/${encodeURIComponent(topic)}/events?limit=25`);
  useReloadOnChange(published, events.reload);
  return (
    <section aria-labelledby="events-title">
      <h2 id="events-title">Latest events</h2>
      {events.error !== undefined && <Failure what="read the events" error={events.error} retry={events.reload} />}
      {!events.value && events.error === undefined && <Waiting what="events" />}
      {events.value?.items.length === 0 && (
        <Empty icon={<StreamRegular />} title="No events yet">
          <p>They show here as they come.</p>
        </Empty>
      )}
      {events.value && events.value.items.length > 0 && (
        <ul className="list">
          {events.value.items.map((logged) => (
            <EventRow key={`${logged.partition} ${logged.sequence}`} topic={topic} logged={logged} />
          ))}
        </ul>
      )}
    </section>
  );
}

function EventRow({ topic, logged }: { readonly topic: string; readonly logged: LoggedEvent }) {
  const { event, sequence, enqueuedAt, problem } = logged;
  return (
    <li>
      <a className="list-row" href={to('topics', topic, 'events', sequence)}>
        <span className="list-main">
          <strong>{event.type ?? event.id}</strong>
          <span className="quiet">{problem ?? [event.source, event.subject].filter(Boolean).join(' · ')}</span>
        </span>
        <span className="list-side">
          <Ago at={enqueuedAt} />
          <span className="quiet">#{sequence}</span>
        </span>
        <ChevronRightRegular className="list-go" />
      </a>
    </li>
  );
}
