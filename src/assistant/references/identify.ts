// Who speaks: from what a service says of somebody, as its token vouches for, to a recipient. First a place of theirs that
// is known, then the address that whoever manages people has noted (`addresses.teams`, `addresses.slack`), then the mail
// address. Two people with one mail address are nobody: an answer must not count for the wrong one.
import { type Sql, statement } from '../../kit/database.ts';
import type { Surface } from './reference.ts';

export type Speaker = {
  readonly channel: Extract<Surface, 'teams' | 'slack'>;
  readonly connection: string;
  /** Their id with the service: in Entra, or a user of Slack. */
  readonly person: string;
  /** Asked for only when nothing else says who they are. Undefined: the service does not know either. */
  readonly email: () => Promise<string | undefined>;
};

const BY_REFERENCE = statement(
  'assistant.identify-by-reference',
  `select distinct recipient_id as id from conversation_reference
   where channel = $1 and connection = $2 and person = $3 limit 2`,
);
const BY_TEAMS = statement(
  'assistant.identify-by-teams',
  `select id from recipient where addresses ? 'teams' and addresses ->> 'teams' = $1 limit 2`,
);
const BY_SLACK = statement(
  'assistant.identify-by-slack',
  `select id from recipient where addresses ? 'slack' and addresses ->> 'slack' = $1 limit 2`,
);
const BY_EMAIL = statement(
  'assistant.identify-by-email',
  `select id from recipient where lower(email) = lower($1) limit 2`,
);

/** The recipient, or undefined: nobody, or more than one. */
export async function identify(sql: Sql, speaker: Speaker): Promise<string | undefined> {
  const { channel, connection, person } = speaker;
  const noted = await only(sql.query(channel === 'teams' ? BY_TEAMS : BY_SLACK, [person]));
  if (noted !== undefined) return noted;
  const known = await only(sql.query(BY_REFERENCE, [channel, connection, person]));
  if (known !== undefined) return known;
  const email = await speaker.email();
  return email === undefined ? undefined : only(sql.query(BY_EMAIL, [email]));
}

async function only(rows: Promise<{ id?: unknown }[]>): Promise<string | undefined> {
  const [first, ...more] = await rows;
  return first !== undefined && more.length === 0 ? String(first.id) : undefined;
}
