// Recipients in the database. A person is known from the first event that concerns them, or from whoever manages
// people; both make the same record, and the second one to come finds it there.
import { type Sql, statement, type Tx } from '../kit/database.ts';
import { Refusal } from '../kit/refusal.ts';
import { type AttributeValue, parseRecipientId, type Recipient, type RecipientInput } from './recipient.ts';

type RecipientRow = {
  id: string;
  display_name: string | null;
  email: string | null;
  locale: string | null;
  time_zone: string | null;
  attributes: Record<string, AttributeValue>;
  addresses: Record<string, string>;
  created_at: Date;
  updated_at: Date;
};

const FIND = statement(
  'people.find-recipients',
  `select id, display_name, email, locale, time_zone, attributes, addresses, created_at, updated_at
   from recipient where id = any($1::text[])`,
);

// `id >= prefix` and `id < prefix with its last character one up` is a range of the primary key (collation "C").
const LIST = statement(
  'people.list-recipients',
  `select id, display_name, email, locale, time_zone, attributes, addresses, created_at, updated_at
   from recipient where id > $1 and id >= $2 and ($3::text is null or id < $3) order by id limit $4`,
);

// The expression is that of the index in migrations/0017-people-search.sql, which is there where trigrams are. No named
// statement: whether the index pays depends on the words.
const SEARCH = `select id, display_name, email, locale, time_zone, attributes, addresses, created_at, updated_at
   from recipient
   where id > $1 and lower((id || ' ' || coalesce(display_name, '') || ' ' || coalesce(email, '')) collate "default")
     like lower($2::text collate "default") escape '!' order by id limit $3`;

const PUT = statement(
  'people.put-recipient',
  `insert into recipient (id, display_name, email, locale, time_zone, attributes, addresses, created_at, updated_at)
   values ($1, $2, $3, $4, $5, $6, $7, $8, $8)
   on conflict (id) do update set display_name = excluded.display_name, email = excluded.email,
     locale = excluded.locale, time_zone = excluded.time_zone, attributes = excluded.attributes,
     addresses = excluded.addresses, updated_at = excluded.updated_at
   returning id, display_name, email, locale, time_zone, attributes, addresses, created_at, updated_at`,
);

const PUT_DEFAULT_PREFERENCE = statement(
  'people.put-default-preference',
  `insert into preference (recipient_id, created_at, updated_at) values ($1, $2, $2) on conflict do nothing`,
);

const DELETE = statement('people.delete-recipient', 'delete from recipient where id = $1 returning id');
const DELETE_PREFERENCE = statement('people.delete-preference', 'delete from preference where recipient_id = $1');

/** The known ones of `ids`, by id. */
export async function findRecipients(sql: Sql, ids: readonly string[]): Promise<Map<string, Recipient>> {
  if (ids.length === 0) return new Map();
  const rows = await sql.query<RecipientRow>(FIND, [ids]);
  return new Map(rows.map((row) => [row.id, recipientOf(row)]));
}

/** One recipient; throws `recipient_not_found`. */
export async function getRecipient(sql: Sql, id: string): Promise<Recipient> {
  const recipient = (await findRecipients(sql, [id])).get(id);
  if (!recipient) throw notFound(id);
  return recipient;
}

export type RecipientPage = { readonly items: readonly Recipient[]; readonly next: string | undefined };

/** Recipients in order of id, from after the id `after`. `next` is the `after` of the next page, if there is one. */
export async function listRecipients(
  sql: Sql,
  { prefix = '', after = '', limit = 100 }: { prefix?: string; after?: string; limit?: number } = {},
): Promise<RecipientPage> {
  return pageOf(await sql.query<RecipientRow>(LIST, [after, prefix, afterPrefix(prefix), limit + 1]), limit);
}

/** Those whose id, name or mail address holds `words` anywhere, in any case; pages as listRecipients. */
export async function searchRecipients(
  sql: Sql,
  { words, after = '', limit = 100 }: { words: string; after?: string; limit?: number },
): Promise<RecipientPage> {
  const pattern = `%${words.replace(/[!%_]/g, '!$&')}%`;
  return pageOf(await sql.query<RecipientRow>(SEARCH, [after, pattern, limit + 1]), limit);
}

function pageOf(rows: readonly RecipientRow[], limit: number): RecipientPage {
  const items = rows.slice(0, limit).map(recipientOf);
  return { items, next: rows.length > limit ? items.at(-1)?.id : undefined };
}

/** Stores a recipient as given (what is left out is cleared), with the default preference record if it is new. */
export async function putRecipient(tx: Tx, id: string, input: RecipientInput, now = new Date()): Promise<Recipient> {
  const rows = await tx.query<RecipientRow>(PUT, [
    parseRecipientId(id),
    input.displayName ?? null,
    input.email ?? null,
    input.locale ?? null,
    input.timeZone ?? null,
    JSON.stringify(input.attributes ?? {}),
    JSON.stringify(input.addresses ?? {}),
    now,
  ]);
  await tx.query(PUT_DEFAULT_PREFERENCE, [id, now]);
  return recipientOf(rows[0]!);
}

/** Removes a person with their preferences; throws `recipient_not_found`. Their inbox is `forgetInbox`'s. */
export async function deleteRecipient(tx: Tx, id: string): Promise<void> {
  const gone = await tx.query(DELETE, [id]);
  if (gone.length === 0) throw notFound(id);
  await tx.query(DELETE_PREFERENCE, [id]);
}

function notFound(id: string): Refusal {
  return new Refusal('recipient_not_found', `There is no recipient ${JSON.stringify(id)}.`, { recipient: id });
}

/** The least text above all texts that begin with `prefix`; null where there is none. Ids are ASCII. */
function afterPrefix(prefix: string): string | null {
  if (prefix === '') return null;
  const last = prefix.length - 1;
  return prefix.slice(0, last) + String.fromCharCode(prefix.charCodeAt(last) + 1);
}

function recipientOf(row: RecipientRow): Recipient {
  return {
    id: row.id,
    ...(row.display_name !== null && { displayName: row.display_name }),
    ...(row.email !== null && { email: row.email }),
    ...(row.locale !== null && { locale: row.locale }),
    ...(row.time_zone !== null && { timeZone: row.time_zone }),
    attributes: row.attributes,
    addresses: row.addresses,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}
