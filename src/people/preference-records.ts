// Preference records in the database. A person's record is made, with the defaults, the first time that the person is
// seen: by an event that concerns them or by a read of their preferences. Several handlers may see a person at the same
// moment; the unique key lets one of them write and the others find what it wrote.
import { textArray } from '../kit/arrays.ts';
import { type Sql, statement, type Tx } from '../kit/database.ts';
import { type Preferences, preferencesOf, type Settings, settingsOf } from './preferences.ts';
import type { AttributeValue, Profile } from './recipient.ts';

/** A recipient as the handler needs them: who they are and what they want. */
export type Person = Profile & { readonly settings: Settings };

type PersonRow = {
  id: string;
  display_name: string | null;
  email: string | null;
  locale: string | null;
  time_zone: string | null;
  attributes: Record<string, AttributeValue>;
  addresses: Record<string, string>;
  settings: Settings;
};

const READ_PEOPLE = statement(
  'people.read-people',
  `select r.id, r.display_name, r.email, r.locale, r.time_zone, r.attributes, r.addresses,
     p.settings
   from recipient r join preference p on p.recipient_id = r.id
   where r.id = any($1::text[])`,
);

// Whoever has no preference record (yet) has the defaults. A subquery, not a join: the kept plan of the join reads all
// preferences for each page.
const PAGE_OF_PEOPLE = statement(
  'people.page-of-people',
  `select r.id, r.display_name, r.email, r.locale, r.time_zone, r.attributes, r.addresses,
     coalesce((select settings from preference where recipient_id = r.id), '{}') as settings
   from recipient r where r.id > $1 order by r.id limit $2`,
);

// In order of id: two handlers that see the same new people wait for each other, they never deadlock.
const MAKE_PEOPLE = statement(
  'people.make-people',
  `with given as (select id from unnest($1::text[]) as given (id) order by id),
   recipients as (
     insert into recipient (id, created_at, updated_at) select id, $2, $2 from given on conflict do nothing)
   insert into preference (recipient_id, created_at, updated_at) select id, $2, $2 from given on conflict do nothing`,
);

const READ = statement('people.read-preference', 'select settings from preference where recipient_id = $1');

const PUT = statement(
  'people.put-preference',
  `insert into preference (recipient_id, settings, created_at, updated_at) values ($1, $2, $3, $3)
   on conflict (recipient_id) do update set settings = excluded.settings, updated_at = excluded.updated_at`,
);

/**
 * The people of `ids` (each a valid recipient id) with what they want; makes those that nobody has seen before. One round
 * trip when all are known.
 */
export async function ensureRecipients(
  sql: Sql,
  ids: readonly string[],
  now: Date = new Date(),
): Promise<Map<string, Person>> {
  const people = await readPeople(sql, ids);
  const unseen = [...new Set(ids)].filter((id) => !people.has(id));
  if (unseen.length === 0) return people;
  await sql.query(MAKE_PEOPLE, [textArray(unseen.sort()), now]);
  for (const [id, person] of await readPeople(sql, unseen)) people.set(id, person);
  return people;
}

async function readPeople(sql: Sql, ids: readonly string[]): Promise<Map<string, Person>> {
  if (ids.length === 0) return new Map();
  const rows = await sql.query<PersonRow>(READ_PEOPLE, [textArray(ids)]);
  return new Map(rows.map((row) => [row.id, personOf(row)]));
}

/** The next people in order of id, from after `afterId`. */
export async function pageOfPeople(sql: Sql, afterId: string, limit: number): Promise<Person[]> {
  return (await sql.query<PersonRow>(PAGE_OF_PEOPLE, [afterId, limit])).map(personOf);
}

/** What a recipient wants; the defaults where there is no record (yet). */
export async function getPreferences(sql: Sql, recipientId: string): Promise<Preferences> {
  const rows = await sql.query<{ settings: Settings }>(READ, [recipientId]);
  return preferencesOf(rows[0]?.settings ?? {});
}

/** Replaces what a recipient wants; makes the recipient if nobody has seen them. `preferences` is parsed already. */
export async function putPreferences(
  tx: Tx,
  recipientId: string,
  preferences: Preferences,
  now: Date = new Date(),
): Promise<Preferences> {
  const settings = settingsOf(preferences);
  await tx.query(MAKE_PEOPLE, [[recipientId], now]);
  await tx.query(PUT, [recipientId, JSON.stringify(settings), now]);
  return preferencesOf(settings);
}

function personOf(row: PersonRow): Person {
  return {
    id: row.id,
    displayName: row.display_name ?? undefined,
    email: row.email ?? undefined,
    locale: row.locale ?? undefined,
    timeZone: row.time_zone ?? undefined,
    attributes: row.attributes,
    addresses: row.addresses,
    settings: row.settings,
  } as Person; // true: an absent text is undefined, which the optional fields of a profile allow
}
