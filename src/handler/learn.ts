// Second step of the handler: what must be known of the people of a batch before anything is written for them. It reads
// outside the transaction that completes the batch, so that this one is short: a preference that changes in between is a
// preference that changed just after.
import type { ChannelName } from '../deliveries/channel.ts';
import type { Sql } from '../kit/database.ts';
import { ensureRecipients } from '../people/preference-records.ts';
import type { Known } from './draft.ts';
import { type Finders, findEndpoints } from './endpoints.ts';
import type { Matched, Refused } from './match.ts';
import type { Definitions } from './notification.ts';

type LearnDeps = { readonly definitions: Definitions; readonly finders: Finders };

/**
 * The people whom the events list, made if nobody has seen them, and where they can be reached. One round trip when all are
 * known, and one more where mail is a channel.
 */
export async function learn(
  sql: Sql,
  deps: LearnDeps,
  events: readonly (Matched | Refused)[],
  now: Date,
): Promise<Known> {
  const { ids, channels } = asked(events);
  const reading = ensureRecipients(sql, [...ids], now);
  const [people, endpoints] = await Promise.all([
    reading,
    findEndpoints(sql, deps.finders, channels, [...ids], reading),
  ]);
  return { people, endpoints, categories: deps.definitions.categories, now };
}

function asked(events: readonly (Matched | Refused)[]): { ids: Set<string>; channels: Set<ChannelName> } {
  const ids = new Set<string>();
  const channels = new Set<ChannelName>();
  for (const event of events) {
    for (const { definition, audience } of event.kind === 'matched' ? event.wishes : []) {
      if (audience.kind !== 'list') continue;
      for (const id of audience.ids) ids.add(id);
      for (const channel of definition.channels) channels.add(channel);
    }
  }
  return { ids, channels };
}
