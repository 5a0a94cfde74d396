// The definitions in force: what is told, when, to whom, over what.
import { MegaphoneRegular } from '@fluentui/react-icons';
import type { ChannelName, Page } from '../kit/api.ts';
import { Chip, Empty, Failure, Waiting } from '../kit/Parts.tsx';
import { useResource } from '../kit/resource.ts';
import { to } from '../kit/route.ts';
import { channelWords } from '../preferences/channels.tsx';
import { Pair } from './Pair.tsx';

type Definition = {
  readonly name: string;
  readonly topic: string;
  readonly category: string;
  readonly when?: string;
  readonly channels: readonly ChannelName[];
  readonly mandatory?: boolean | readonly ChannelName[];
  readonly urgency?: string;
};

export function NotificationsPage() {
  const found = useResource<Page<Definition>>('/v1/notifications');
  return (
    <div className="narrow">
      <h1>Notifications</h1>
      <p className="quiet lead">What is told to whom when an event matches. They are written in carillon.config.ts.</p>
      {found.error !== undefined && <Failure what="read the notifications" error={found.error} retry={found.reload} />}
      {!found.value && found.error === undefined && <Waiting what="notifications" />}
      {found.value?.items.length === 0 && <Empty icon={<MegaphoneRegular />} title="No notification is defined" />}
      <div className="definitions">
        {found.value?.items.map((definition) => (
          <DefinitionCard key={definition.name} definition={definition} />
        ))}
      </div>
    </div>
  );
}

function DefinitionCard({ definition }: { readonly definition: Definition }) {
  const { name, topic, category, when, channels, mandatory = false, urgency } = definition;
  const isFixed = (channel: ChannelName) => (typeof mandatory === 'boolean' ? mandatory : mandatory.includes(channel));
  return (
    <article className="card definition">
      <h2>{name}</h2>
      <dl className="pairs">
        <Pair
          name="Topic"
          value={
            <a href={to('topics', topic)}>
              <Chip name={topic} />
            </a>
          }
        />
        <Pair name="Category" value={category} />
        {urgency && urgency !== 'normal' && <Pair name="Urgency" value={urgency} />}
      </dl>
      {when && <code className="definition-when">{when}</code>}
      <ul className="definition-channels">
        {channels.map((channel) => (
          <li key={channel}>
            {channelWords[channel].icon} {channelWords[channel].name}
            {isFixed(channel) && <span className="quiet"> always</span>}
          </li>
        ))}
      </ul>
    </article>
  );
}
