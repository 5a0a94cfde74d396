// The services that the assistant speaks through, as the config names them: `teams`, `slack` and `webhooks` of its section
// `assistant`. Secrets may be left out: those of the connection named `main` come from the settings then.
import type { SlackConnection } from '../../assistant/slack/connection.ts';
import { clouds, type TeamsConnection } from '../../assistant/teams/connection.ts';
import type { WebhookConnection } from '../../assistant/webhook/poster.ts';
import { isRecord } from '../../kit/record.ts';

export type ConnectionsConfig = {
  /** Bots in Teams, by a name of yours. People reach them at `/v1/assistant/teams/{name}/messages`. */
  readonly teams?: Readonly<Record<string, TeamsConnection>>;
  /** Apps in Slack. They post to `/v1/assistant/slack/{name}/actions` and `.../events`. */
  readonly slack?: Readonly<Record<string, SlackConnection>>;
  /** Channels of Teams by a workflow; a recipient that stands for one has its name as `addresses.webhook`. */
  readonly webhooks?: Readonly<Record<string, WebhookConnection>>;
};

export type LoadedConnections = {
  readonly teams: ReadonlyMap<string, TeamsConnection>;
  readonly slack: ReadonlyMap<string, SlackConnection>;
  readonly webhooks: ReadonlyMap<string, WebhookConnection>;
};

export const CONNECTION_FIELDS = ['teams', 'slack', 'webhooks'];
export const noConnections: LoadedConnections = { teams: new Map(), slack: new Map(), webhooks: new Map() };

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
const GUID = /^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$/i;

type Problems = string[];
type Json = Record<string, unknown>;

/** What is wrong goes to `problems`. */
export function readConnections(section: Json, problems: Problems): LoadedConnections {
  return {
    teams: readNamed<TeamsConnection>(section.teams, 'assistant.teams', problems, checkTeams),
    slack: readNamed<SlackConnection>(section.slack, 'assistant.slack', problems, checkSlack),
    webhooks: readNamed<WebhookConnection>(section.webhooks, 'assistant.webhooks', problems, checkWebhook),
  };
}

type Say = (path: string, what: string) => void;

function readNamed<T>(
  value: unknown,
  at: string,
  problems: Problems,
  check: (given: Json, say: Say) => void,
): ReadonlyMap<string, T> {
  if (value === undefined) return new Map();
  if (!isRecord(value)) {
    problems.push(`${at}: must be an object of name -> connection.`);
    return new Map();
  }
  for (const [name, given] of Object.entries(value)) {
    const say = (path: string, what: string) => problems.push(`${at}.${name}${path}: ${what}`);
    if (!NAME.test(name)) say('', 'a name has 1 to 64 letters, digits, dots, underscores and dashes.');
    if (isRecord(given)) check(given, say);
    else say('', 'must be an object.');
  }
  return new Map(Object.entries(value) as [string, T][]); // with problems nobody gets to see it
}

function checkTeams(given: Json, say: Say): void {
  checkFields(given, ['appId', 'tenantId', 'secret', 'installApp', 'cloud', 'endpoints'], say);
  for (const field of ['appId', 'tenantId'])
    if (typeof given[field] !== 'string' || !GUID.test(given[field])) say(`.${field}`, 'must be a GUID.');
  checkTexts(given, ['secret', 'installApp'], say);
  if (given.cloud !== undefined && !Object.hasOwn(clouds, String(given.cloud)))
    say('.cloud', `must be one of ${Object.keys(clouds).join(', ')}.`);
  if (given.endpoints !== undefined && !isRecord(given.endpoints)) say('.endpoints', 'must be an object of addresses.');
}

function checkSlack(given: Json, say: Say): void {
  checkFields(given, ['botToken', 'signingSecret', 'teamId', 'apiUrl'], say);
  checkTexts(given, ['botToken', 'signingSecret', 'teamId'], say);
  if (given.apiUrl !== undefined && !isHttp(given.apiUrl)) say('.apiUrl', 'must be an http(s) address.');
}

function checkWebhook(given: Json, say: Say): void {
  checkFields(given, ['url'], say);
  if (!isHttp(given.url)) say('.url', 'must be the address of the workflow.');
}

function checkFields(given: Json, fields: readonly string[], say: Say): void {
  for (const field of Object.keys(given))
    if (!fields.includes(field)) say(`.${field}`, `there is no such field; there are ${fields.join(', ')}.`);
}

function checkTexts(given: Json, fields: readonly string[], say: Say): void {
  for (const field of fields)
    if (given[field] !== undefined && (typeof given[field] !== 'string' || given[field] === ''))
      say(`.${field}`, 'must be a text that is not empty.');
}

function isHttp(value: unknown): boolean {
  return typeof value === 'string' && URL.canParse(value) && /^https?:$/.test(new URL(value).protocol);
}
