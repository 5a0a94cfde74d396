// The hubs and their ways to the push services: how many devices, what goes out, and what is in the way.
import { ChevronRightRegular } from '@fluentui/react-icons';
import { Chip, Failure } from '../kit/Parts.tsx';
import { to } from '../kit/route.ts';
import { type Column, Grid, RateCells } from './Grid.tsx';
import { alarmsOf, deliveredBy, hintsOf, PlatformName, StatePill } from './lanes.tsx';
import { NodeNote } from './NodeNote.tsx';
import { count, type HubStats, type LaneStats, rates, type Stats } from './stats.ts';
import { Trouble } from './Trouble.tsx';

const columns: readonly Column[] = [
  { name: 'Devices on' },
  { name: 'Last minute', kind: 'chart' },
  { name: 'Pushed/s', kind: 'number' },
  { name: 'Devices', kind: 'number' },
  { name: 'Pruned', kind: 'wide' },
  { name: 'Refused', kind: 'wide' },
  { name: 'State', kind: 'number' },
  { name: 'Open', kind: 'go' },
];

export function Hubs({ history, hubs }: { readonly history: readonly Stats[]; readonly hubs: readonly HubStats[] }) {
  if (hubs.length === 0) return <p className="quiet">There is no hub.</p>;
  return (
    <>
      {hubs.map(
        (hub) => hub.problem && <Failure key={hub.name} what={`read the hub ${hub.name}`} error={hub.problem} />,
      )}
      {hubs.flatMap((hub) =>
        hintsOf(hub).map((lane) => <Trouble key={`${hub.name} ${lane.platform}`} hub={hub.name} lane={lane} />),
      )}
      <Grid columns={columns} className="grid-hubs">
        {hubs.flatMap((hub) =>
          hub.lanes.map((lane) => (
            <LaneRow
              key={`${hub.name} ${lane.platform}`}
              hub={hub}
              lane={lane}
              history={history}
              several={hubs.length > 1}
            />
          )),
        )}
      </Grid>
      <p className="quiet grid-note">
        Pruned and refused are of the last hour: addresses that were dead, pushes of which nothing will come.
      </p>
      <NodeNote stats={history.at(-1)} />
    </>
  );
}

/** What stands still, for the top of the page. */
export function PushAlarms({ hubs }: { readonly hubs: readonly HubStats[] }) {
  return hubs.flatMap((hub) =>
    alarmsOf(hub).map((lane) => <Trouble key={`${hub.name} ${lane.platform}`} hub={hub.name} lane={lane} />),
  );
}

type RowProps = {
  readonly hub: HubStats;
  readonly lane: LaneStats;
  readonly history: readonly Stats[];
  readonly several: boolean;
};

function LaneRow({ hub, lane, history, several }: RowProps) {
  return (
    <tr>
      <th scope="row">
        <a className="grid-link grid-lane" href={to('hubs', hub.name)}>
          {several && <Chip name={hub.name} />}
          <PlatformName platform={lane.platform} />
        </a>
      </th>
      <RateCells values={rates(history, (stats) => deliveredBy(stats, hub.name, lane.platform))} />
      <DeviceCell devices={lane.devices} />
      <td className="number grid-wide">{count(lane.lastHour.pruned)}</td>
      <td className={lane.lastHour.refused > 0 ? 'number grid-wide bad' : 'number grid-wide'}>
        {count(lane.lastHour.refused)}
      </td>
      <td className="number">
        <StatePill lane={lane} />
      </td>
      <td className="grid-go">
        <ChevronRightRegular />
      </td>
    </tr>
  );
}

function DeviceCell({ devices }: { readonly devices: number | null }) {
  return <td className="number">{devices === null ? <span title="Being counted">…</span> : count(devices)}</td>;
}
