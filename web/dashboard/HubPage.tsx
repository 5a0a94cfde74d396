// One hub: its devices and push services in full, and the latest sends.
import { SendRegular } from '@fluentui/react-icons';
import type { Page } from '../kit/api.ts';
import { Chip, Empty, Failure, Waiting } from '../kit/Parts.tsx';
import { useResource } from '../kit/resource.ts';
import { Ago, Exact } from '../kit/time.tsx';
import { Back } from './Back.tsx';
import { alarmsOf, deliveredBy, hintsOf, PlatformName, StatePill } from './lanes.tsx';
import { NodeNote } from './NodeNote.tsx';
import { Pair } from './Pair.tsx';
import { Sparkline } from './Sparkline.tsx';
import { count, type HubStats, type LaneStats, type PushCounts, rate, rates, recent } from './stats.ts';
import { Trouble } from './Trouble.tsx';
import { useReloadOnChange } from './use-reload.ts';
import type { LiveStats } from './use-stats.ts';

type Send = {
  readonly id: string;
  readonly state: string;
  readonly platform: string | null;
  readonly tags: string | null;
  readonly addresses: number | null;
  readonly outcomes: Readonly<Record<string, Readonly<Record<string, number>>>>;
  readonly enqueuedAt: string;
};

export function HubPage({ name, stats: { history } }: { readonly name: string; readonly stats: LiveStats }) {
  const latest = history.at(-1);
  const hub = latest?.hubs.find((each) => each.name === name);
  const values = rates(history, (stats) => deliveredBy(stats, name));
  return (
    <div className="wide">
      <Back href="#/" name="Overview" />
      <h1>
        Hub <Chip name={name} />
      </h1>
      {latest && !hub && <p className="quiet">There is no hub of this name here now.</p>}
      {hub?.problem && <Failure what="read this hub" error={hub.problem} />}
      {hub && [...alarmsOf(hub), ...hintsOf(hub)].map((lane) => <Trouble key={lane.platform} hub={name} lane={lane} />)}
      <section className="card chart" aria-label="Pushes per second, last minute">
        <p>
          <span className="tile-value">{rate(recent(values))}</span>{' '}
          <span className="tile-unit">pushes per second</span>
          <span className="chart-total">{latest ? count(deliveredBy(latest, name)) : 0} since the start</span>
        </p>
        <Sparkline values={values} width={600} height={90} />
      </section>
      {hub && (
        <section aria-labelledby="lanes-title">
          <h2 id="lanes-title">Devices and push services</h2>
          <ul className="lanes">
            {hub.lanes.map((lane) => (
              <Lane key={lane.platform} lane={lane} />
            ))}
          </ul>
          <NodeNote stats={latest} />
        </section>
      )}
      {hub && <Sends hub={hub} />}
    </div>
  );
}

function Lane({ lane }: { readonly lane: LaneStats }) {
  const { platform, devices, dead, pushed, lastHour, lastFault } = lane;
  return (
    <li className="card lane">
      <header>
        <h3>
          <PlatformName platform={platform} />
        </h3>
        <StatePill lane={lane} />
      </header>
      <dl className="pairs">
        <Pair name="Devices" value={devices === null ? 'being counted' : count(devices)} />
        <Pair name="Dead addresses" value={dead === null ? 'being counted' : count(dead)} />
        <Counts name="Last hour" counts={lastHour} />
        <Counts name="Since the start" counts={pushed} />
      </dl>
      {lastFault && (
        <p className="quiet lane-fault">
          Last failure <Exact at={lastFault.at} short />: {lastFault.outcome}
          {lastFault.cause !== lastFault.outcome && ` (${lastFault.cause})`}
        </p>
      )}
    </li>
  );
}

function Counts({ name, counts }: { readonly name: string; readonly counts: PushCounts }) {
  const words = [
    `${count(counts.delivered)} delivered`,
    ...(['pruned', 'refused', 'retried'] as const)
      .filter((kind) => counts[kind] > 0)
      .map((kind) => `${count(counts[kind])} ${kind}`),
  ];
  return <Pair name={name} value={words.join(' · ')} />;
}

function Sends({ hub }: { readonly hub: HubStats }) {
  const sends = useResource<Page<Send>>(`/v1/hubs/${encodeURIComponent(hub.name)}/sends?limit=10`);
  useReloadOnChange(fingerprint(hub), sends.reload);
  return (
    <section aria-labelledby="sends-title">
      <h2 id="sends-title">Latest sends</h2>
      {hub.sends.underWay > 0 && (
        <p className="quiet sends-open">
          {hub.sends.underWay === 1 ? '1 is under way' : `${count(hub.sends.underWay)} are under way`}
          {hub.sends.oldest && (
            <>
              , the first since <Exact at={hub.sends.oldest} short />
            </>
          )}
          .
        </p>
      )}
      {sends.error !== undefined && <Failure what="read the sends" error={sends.error} retry={sends.reload} />}
      {!sends.value && sends.error === undefined && <Waiting what="sends" />}
      {sends.value?.items.length === 0 && (
        <Empty icon={<SendRegular />} title="Nothing was sent to this hub yet">
          <p>
            <code>carillon push send "Hello" --hub {hub.name}</code> pushes to all of its devices. What notifications
            push to people shows in the channel Mobile.
          </p>
        </Empty>
      )}
      {sends.value && sends.value.items.length > 0 && (
        <ul className="list">
          {sends.value.items.map((send) => (
            <SendRow key={send.id} send={send} />
          ))}
        </ul>
      )}
    </section>
  );
}

function SendRow({ send }: { readonly send: Send }) {
  const { id, state, platform, outcomes, enqueuedAt } = send;
  return (
    <li className="list-row">
      <span className="list-main">
        <strong>
          {platform === null ? 'Templates' : <PlatformName platform={platform} />}{' '}
          <span className="quiet">to {audienceOf(send)}</span>
        </strong>
        <span className="quiet">{outcomeWords(outcomes, state)}</span>
      </span>
      <span className="list-side">
        <span>
          {stateWords[state] ?? state} · <Ago at={enqueuedAt} />
        </span>
        <span className="quiet send-id">{id}</span>
      </span>
    </li>
  );
}

const stateWords: Readonly<Record<string, string>> = { NoTargetFound: 'No device', Processing: 'Under way' };

function audienceOf({ tags, addresses }: Send): string {
  if (addresses !== null) return addresses === 1 ? 'one address' : `${count(addresses)} addresses`;
  return tags ?? 'everybody';
}

function outcomeWords(outcomes: Send['outcomes'], state: string): string {
  const sums = new Map<string, number>();
  for (const counts of Object.values(outcomes))
    for (const [name, number] of Object.entries(counts)) sums.set(name, (sums.get(name) ?? 0) + number);
  if (sums.size === 0) return state === 'NoTargetFound' ? 'Nobody has such a device' : 'Nothing yet';
  return [...sums].map(([name, number]) => `${count(number)} ${name}`).join(', ');
}

/** Changes when something was pushed, or a send came or ended. */
function fingerprint({ sends, lanes }: HubStats): string {
  return [sends.underWay, ...lanes.flatMap(({ pushed }) => Object.values(pushed))].join(' ');
}
