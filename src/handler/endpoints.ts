// Where people can be reached over each channel. The rooms behind the channels know; the handler asks them for all
// people of a batch at once, in its transaction. A channel that nobody answers for reaches nobody.
import type { ChannelName } from '../deliveries/channel.ts';
import { findGone } from '../deliveries/gone.ts';
import type { Sql } from '../kit/database.ts';
import type { Person } from '../people/preference-records.ts';

/** An address on the channel; null where the channel itself finds the person's places when it delivers. */
export type Endpoint = string | null;

/**
 * The endpoints of the people with these ids; whoever has none may be left out, or stand there with the reason. Who needs
 * no more than the ids asks at once; the records of `people` are on their way.
 */
export type FindEndpoints = (
  sql: Sql,
  ids: readonly string[],
  people: Promise<ReadonlyMap<string, Person>>,
) => EndpointsById | Promise<EndpointsById>;

export type Unreachable = { readonly unreachable: string };
type EndpointsById = ReadonlyMap<string, readonly Endpoint[] | Unreachable>;

/** Who answers for which channel. The inbox needs nobody. */
export type Finders = Partial<Readonly<Record<Exclude<ChannelName, 'inbox'>, FindEndpoints>>>;
export type FoundEndpoints = ReadonlyMap<ChannelName, EndpointsById>;

const NOWHERE: Unreachable = { unreachable: 'no endpoint' };

/** The mail address that the recipient's record has, unless mail servers called it dead lately. */
export const emailEndpoints: FindEndpoints = async (sql, _ids, people) => {
  const withAddress = [...(await people).values()].flatMap(({ id, email }) =>
    email === undefined ? [] : [{ id, email }],
  );
  const gone = await findGone(
    sql,
    'email',
    withAddress.map(({ email }) => email),
    new Date(),
  );
  return new Map(
    withAddress.map(({ id, email }) => {
      const cause = gone.get(email);
      return [id, cause === undefined ? [email] : { unreachable: `no endpoint: the mail address is dead, ${cause}` }];
    }),
  );
};

/** Of a channel that this server was not given what it needs for; `how` says what that is. */
export function notSetUp(how: string): FindEndpoints {
  const unreachable = { unreachable: `not set up: ${how}` };
  return (_, ids) => new Map(ids.map((id) => [id, unreachable]));
}

/** The finders do not wait for each other, nor, but for mail, for the records: one round trip on one connection. */
export async function findEndpoints(
  sql: Sql,
  finders: Finders,
  channels: ReadonlySet<ChannelName>,
  ids: readonly string[],
  people: Promise<ReadonlyMap<string, Person>>,
): Promise<FoundEndpoints> {
  if (ids.length === 0) return new Map();
  const asked = [...channels].flatMap((channel) => {
    const find = channel === 'inbox' ? undefined : finders[channel];
    return find ? [{ channel, find }] : [];
  });
  return new Map(
    await Promise.all(asked.map(async ({ channel, find }) => [channel, await find(sql, ids, people)] as const)),
  );
}

/** At least one endpoint, or why there is none. */
export function endpointsOf(
  found: FoundEndpoints,
  channel: ChannelName,
  recipientId: string,
): readonly Endpoint[] | Unreachable {
  const endpoints = found.get(channel)?.get(recipientId) ?? NOWHERE;
  return 'unreachable' in endpoints || endpoints.length > 0 ? endpoints : NOWHERE;
}
