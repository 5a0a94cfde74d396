// How each channel does: what it delivers, what waits for it, what it had to give up.
import { channelWords } from '../preferences/channels.tsx';
import { BacklogCells, type Column, Grid, RateCells } from './Grid.tsx';
import { count, type DeliveryStats, rates, type Stats } from './stats.ts';

const columns: readonly Column[] = [
  { name: 'Channel' },
  { name: 'Last minute', kind: 'chart' },
  { name: 'Delivered/s', kind: 'number' },
  { name: 'In all', kind: 'wide' },
  { name: 'Tried again', kind: 'wide' },
  { name: 'Waiting', kind: 'number' },
  { name: 'Dead', kind: 'number' },
];

export function Channels({ history, latest }: { readonly history: readonly Stats[]; readonly latest: Stats }) {
  // The inbox is written with the notice itself: nothing of it waits or fails.
  const deliveries = latest.deliveries.filter(({ channel }) => channel !== 'inbox');
  return (
    <Grid columns={columns}>
      {deliveries.map((delivery) => (
        <ChannelRow key={delivery.channel} delivery={delivery} history={history} />
      ))}
    </Grid>
  );
}

function ChannelRow({ delivery, history }: { readonly delivery: DeliveryStats; readonly history: readonly Stats[] }) {
  const of = (stats: Stats) => stats.deliveries.find(({ channel }) => channel === delivery.channel)?.delivered ?? 0;
  const { name, icon } = channelWords[delivery.channel];
  return (
    <tr>
      <th scope="row">
        <span className="grid-channel">
          {icon} {name}
        </span>
      </th>
      <RateCells values={rates(history, of)} />
      <td className="number grid-wide">{count(delivery.delivered)}</td>
      <td className="number grid-wide">{count(delivery.retried)}</td>
      <BacklogCells behind={delivery.pending} dead={delivery.dead} />
    </tr>
  );
}
