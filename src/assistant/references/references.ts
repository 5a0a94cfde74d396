// Conversation references in the database: captured on every turn and on install, chosen by what the person prefers and
// then by where they were last seen, marked when a service says that a place is blocked or gone.
import { textArray } from '../../kit/arrays.ts';
import { type Sql, statement } from '../../kit/database.ts';
import type { Address, Capture, Place, Reference, ReferenceState, Surface } from './reference.ts';

type ReferenceRow = {
  recipient_id: string;
  channel: Surface;
  connection: string;
  place: string;
  person: string | null;
  address: Address;
  state: ReferenceState;
  last_seen_at: Date | null;
  last_error: string | null;
  throttled_until: Date | null;
};

// A person who speaks every second would update the row every second: within ten seconds only what says more is written.
const CAPTURE = statement(
  'assistant.capture-reference',
  `insert into conversation_reference as known
     (recipient_id, channel, connection, place, person, address, last_seen_at, created_at, updated_at)
   values ($1, $2, $3, $4, $5, $6, $7, $8, $8)
   on conflict (recipient_id, channel, connection, place) do update set
     person = coalesce(excluded.person, known.person), address = known.address || excluded.address, state = 'ok',
     last_seen_at = greatest(known.last_seen_at, excluded.last_seen_at), last_error = null, updated_at = excluded.updated_at
   where known.state <> 'ok' or known.address is distinct from known.address || excluded.address
     or (excluded.person is not null and known.person is distinct from excluded.person)
     or known.last_seen_at is null or excluded.last_seen_at > known.last_seen_at + interval '10 seconds'
   returning created_at = $8 as fresh`,
);

const COLUMNS = `r.recipient_id, r.channel, r.connection, r.place, r.person, r.address, r.state, r.last_seen_at,
  r.last_error, r.throttled_until`;

// In the order in which they are tried: the surface that the person prefers, then where they were seen last.
const OF_PEOPLE = statement(
  'assistant.references-of',
  `select ${COLUMNS}
   from conversation_reference r
   left join preference p on p.recipient_id = r.recipient_id
   where r.recipient_id = any ($1::text[])
   order by r.recipient_id, (p.settings ->> 'preferredConversation' = r.channel) desc nulls last,
     r.last_seen_at desc nulls last, r.created_at desc`,
);

const MARK = statement(
  'assistant.mark-reference',
  `update conversation_reference set state = $5, last_error = $6, last_error_at = $7, updated_at = $7
   where recipient_id = $1 and channel = $2 and connection = $3 and place = $4`,
);

const THROTTLE = statement(
  'assistant.throttle-reference',
  `update conversation_reference set throttled_until = $5, last_error = $6, last_error_at = $7, updated_at = $7
   where recipient_id = $1 and channel = $2 and connection = $3 and place = $4`,
);

const FORGET = statement('assistant.forget-references', 'delete from conversation_reference where recipient_id = $1');
const FORGET_POSTED = statement('assistant.forget-posted', 'delete from posted_card where recipient_id = $1');

/** Remembers where a person can be reached; a place that was blocked or gone is usable again. True: it is a new one. */
export async function captureReference(sql: Sql, capture: Capture, now = new Date()): Promise<boolean> {
  const { recipientId, channel, connection, place, person, address, seenAt } = capture;
  const address_ = JSON.stringify(address);
  const values = [recipientId, channel, connection, place, person ?? null, address_, seenAt ?? null, now];
  const [row] = await sql.query<{ fresh: boolean }>(CAPTURE, values);
  return row?.fresh ?? false;
}

/** The places of each of these people, in the order in which they are to be tried; the unusable ones as well. */
export async function referencesOf(
  sql: Sql,
  recipientIds: readonly string[],
): Promise<ReadonlyMap<string, readonly Reference[]>> {
  if (recipientIds.length === 0) return new Map();
  const rows = await sql.query<ReferenceRow>(OF_PEOPLE, [textArray([...new Set(recipientIds)])]);
  return Map.groupBy(rows.map(referenceOf), ({ recipientId }) => recipientId);
}

/** What a service said of a place for good; `cause` is a short code. */
export async function markReference(
  sql: Sql,
  { recipientId, channel, connection, place }: Place,
  state: ReferenceState,
  cause: string,
  now = new Date(),
): Promise<void> {
  await sql.query(MARK, [recipientId, channel, connection, place, state, cause, now]);
}

/** A service asked to leave a place alone until `until`: every node holds to it. */
export async function throttleReference(
  sql: Sql,
  { recipientId, channel, connection, place }: Place,
  until: Date,
  cause: string,
  now = new Date(),
): Promise<void> {
  await sql.query(THROTTLE, [recipientId, channel, connection, place, until, cause, now]);
}

/** For when a person is removed: nothing of them stays. */
export async function forgetReferences(sql: Sql, recipientId: string): Promise<void> {
  await Promise.all([sql.query(FORGET, [recipientId]), sql.query(FORGET_POSTED, [recipientId])]);
}

function referenceOf(row: ReferenceRow): Reference {
  return {
    recipientId: row.recipient_id,
    channel: row.channel,
    connection: row.connection,
    place: row.place,
    person: row.person ?? undefined,
    address: row.address,
    state: row.state,
    lastSeenAt: row.last_seen_at ?? undefined,
    lastError: row.last_error ?? undefined,
    throttledUntil: row.throttled_until ?? undefined,
  };
}
