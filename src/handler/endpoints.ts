// Where people can be reached over each channel. The rooms behind the channels know; the handler asks them for all
// people of a batch at once, in its transaction. A channel that nobody answers for reaches nobody.
import type { ChannelName } from '../deliveries/channel.ts';
import type { Tx } from '../kit/database.ts';
import type { Person } from '../people/preference-records.ts';

/** An address on the channel; null where the channel itself finds the person's places when it delivers. */
export type Endpoint = string | null;

/** The endpoints of each of `people`; whoever has none may be left out. */
export type FindEndpoints = (tx: Tx, people: ReadonlyMap<string, Person>) => EndpointsById | Promise<EndpointsById>;

type EndpointsById = ReadonlyMap<string, readonly Endpoint[]>;

/** Who answers for which channel. The inbox needs nobody. */
export type Finders = Partial<Readonly<Record<Exclude<ChannelName, 'inbox'>, FindEndpoints>>>;
export type FoundEndpoints = ReadonlyMap<ChannelName, EndpointsById>;

/** The mail address that the recipient's record has. */
export const emailEndpoints: FindEndpoints = (_tx, people) => {
  const found = new Map<string, readonly Endpoint[]>();
  for (const [id, { email }] of people) if (email !== undefined) found.set(id, [email]);
  return found;
};

export async function findEndpoints(
  tx: Tx,
  finders: Finders,
  channels: ReadonlySet<ChannelName>,
  people: ReadonlyMap<string, Person>,
): Promise<FoundEndpoints> {
  const found = new Map<ChannelName, EndpointsById>();
  for (const channel of channels) {
    const find = channel === 'inbox' ? undefined : finders[channel];
    if (find && people.size > 0) found.set(channel, await find(tx, people));
  }
  return found;
}

export function endpointsOf(found: FoundEndpoints, channel: ChannelName, recipientId: string): readonly Endpoint[] {
  return found.get(channel)?.get(recipientId) ?? [];
}
