// Everything at a glance: five numbers, then the topics, the channels, the push services.
import { ChevronRightRegular } from '@fluentui/react-icons';
import type { ReactNode } from 'react';
import { Chip, Failure, Waiting } from '../kit/Parts.tsx';
import { to } from '../kit/route.ts';
import { Channels } from './Channels.tsx';
import { FirstSteps } from './FirstSteps.tsx';
import { BacklogCells, type Column, Grid, RateCells } from './Grid.tsx';
import { Hubs, PushAlarms } from './Hubs.tsx';
import { Sparkline } from './Sparkline.tsx';
import {
  count,
  deadDeliveriesOf,
  deadMessagesOf,
  deliveredOf,
  publishedOf,
  rate,
  rates,
  recent,
  type Stats,
  sum,
  type TopicStats,
  waitingOf,
} from './stats.ts';
import type { LiveStats } from './use-stats.ts';

export function Overview({ stats: { history, error } }: { readonly stats: LiveStats }) {
  const latest = history.at(-1);
  if (!latest) {
    return error ? <Failure what="read the numbers" error={error} /> : <Waiting what="the numbers" />;
  }
  return (
    <div className="wide">
      <h1>Overview</h1>
      <Tiles history={history} latest={latest} />
      <PushAlarms hubs={latest.hubs} />
      <FirstSteps quiet={publishedOf(latest) === 0} topics={latest.topics.map(({ name }) => name)} />
      <section aria-labelledby="topics-title">
        <h2 id="topics-title">Topics</h2>
        {latest.topics.length === 0 ? (
          <p className="quiet">
            There is no topic yet. Topics are made in carillon.config.ts, or by the first PUT /v1/topics/name.
          </p>
        ) : (
          <Topics history={history} topics={latest.topics} />
        )}
      </section>
      <section aria-labelledby="channels-title">
        <h2 id="channels-title">Channels</h2>
        <Channels history={history} latest={latest} />
      </section>
      <section aria-labelledby="hubs-title">
        <h2 id="hubs-title">Push</h2>
        <Hubs history={history} hubs={latest.hubs} />
      </section>
    </div>
  );
}

function Tiles({ history, latest }: { readonly history: readonly Stats[]; readonly latest: Stats }) {
  const published = rates(history, (stats) => publishedOf(stats));
  const notices = rates(history, (stats) => stats.notices);
  const delivered = rates(history, deliveredOf);
  const [messages, deliveries] = [deadMessagesOf(latest), deadDeliveriesOf(latest)];
  const dead = messages + deliveries;
  const waiting = waitingOf(latest);
  return (
    <dl className="tiles">
      <Tile
        name="Events in"
        total={publishedOf(latest)}
        value={rate(recent(published))}
        unit="per second"
        chart={<Sparkline values={published} />}
      />
      <Tile
        name="Notices"
        total={latest.notices}
        value={rate(recent(notices))}
        unit="per second"
        chart={<Sparkline values={notices} />}
      />
      <Tile
        name="Delivered"
        total={deliveredOf(latest)}
        value={rate(recent(delivered))}
        unit="per second"
        chart={<Sparkline values={delivered} />}
      />
      <Tile
        name="Waiting"
        value={count(waiting)}
        unit={waiting === 0 ? 'nothing behind' : 'in line'}
        chart={<Sparkline values={history.map(waitingOf)} />}
      />
      <Tile
        name="Dead letters"
        value={count(dead)}
        unit={dead === 0 ? 'none' : deadWords(messages, deliveries)}
        tone={dead === 0 ? undefined : 'bad'}
        href={deliveries === 0 ? undefined : to('deliveries')}
      />
    </dl>
  );
}

function deadWords(messages: number, deliveries: number): string {
  const parts = [deliveries > 0 ? 'deliveries' : '', messages > 0 ? 'messages, see Topics' : ''];
  return parts.filter((part) => part !== '').join(' and ');
}

type TileProps = {
  readonly name: string;
  readonly value: string;
  readonly unit: string;
  /** Since the server's start. */
  readonly total?: number;
  readonly chart?: ReactNode;
  readonly tone?: 'bad' | undefined;
  readonly href?: string | undefined;
};

function Tile({ name, value, unit, total, chart, tone, href }: TileProps) {
  return (
    <div className={tone ? `tile tile-${tone}` : 'tile'}>
      <dt>
        {href ? <a href={href}>{name}</a> : name}
        {total !== undefined && <span className="tile-total">{count(total)} in all</span>}
      </dt>
      <dd>
        <span className="tile-value">{value}</span> <span className="tile-unit">{unit}</span>
      </dd>
      {chart}
    </div>
  );
}

const topicColumns: readonly Column[] = [
  { name: 'Topic' },
  { name: 'Last minute', kind: 'chart' },
  { name: 'Events/s', kind: 'number' },
  { name: 'In all', kind: 'wide' },
  { name: 'Subscriptions', kind: 'wide' },
  { name: 'Behind', kind: 'number' },
  { name: 'Dead', kind: 'number' },
  { name: 'Open', kind: 'go' },
];

function Topics({ history, topics }: { readonly history: readonly Stats[]; readonly topics: readonly TopicStats[] }) {
  return (
    <Grid columns={topicColumns}>
      {topics.map((topic) => (
        <TopicRow key={topic.name} topic={topic} history={history} />
      ))}
    </Grid>
  );
}

function TopicRow({ topic, history }: { readonly topic: TopicStats; readonly history: readonly Stats[] }) {
  const values = rates(history, (stats) => publishedOf(stats, topic.name));
  const behind = sum(topic.subscriptions.map(({ backlog }) => backlog));
  const dead = sum(topic.subscriptions.map((subscription) => subscription.dead));
  return (
    <tr>
      <th scope="row">
        <a className="grid-link" href={to('topics', topic.name)}>
          <Chip name={topic.name} />
        </a>
      </th>
      <RateCells values={values} />
      <td className="number grid-wide">{count(topic.published)}</td>
      <td className="number grid-wide">{topic.subscriptions.length}</td>
      <BacklogCells behind={behind} dead={dead} />
      <td className="grid-go">
        <ChevronRightRegular />
      </td>
    </tr>
  );
}
