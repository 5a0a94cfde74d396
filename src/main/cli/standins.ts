// `carillon standins`: push services, Teams and Slack of our own that speak the real protocols on real ports, for trying
// things without accounts at Apple, Google, Microsoft or Slack. What a server needs to use them is written into a folder.
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Standins } from '../../../test/standins/start.ts';
import { segment } from './client.ts';
import { type Call, type Command, stringOption, UsageError } from './command.ts';

const showEveryMs = 200;

export const standinsCommand: Command = {
  words: 'standins',
  summary: 'Run services to try things with, without accounts: APNs, FCM, WNS, Web Push, Teams and Slack',
  details:
    'They take what their originals take, refuse what they refuse, and print every push. Addresses that begin with certain words are answered with errors: `dead` (APNs: no such device), `gone`, `full`; docs/push-apns.md and its neighbours list them. For Teams and Slack there is a page on which you are the people; those of the running server who have a mail address are on it. All last until this command ends.',
  options: {
    folder: { type: 'string', shows: 'folder', sentence: 'Where to write the credentials; ./standins without it.' },
    connect: { type: 'string', shows: 'hub', sentence: 'Give them to this hub of the running server at once.' },
    'apns-port': {
      type: 'string',
      shows: 'port',
      sentence: 'The port of APNs; a free one without it. Likewise the others.',
    },
    'fcm-port': { type: 'string', shows: 'port', sentence: 'The port of FCM.' },
    'wns-port': { type: 'string', shows: 'port', sentence: 'The port of WNS.' },
    'webpush-port': { type: 'string', shows: 'port', sentence: 'The port of Web Push.' },
    'teams-port': { type: 'string', shows: 'port', sentence: 'The port of Teams.' },
    'slack-port': { type: 'string', shows: 'port', sentence: 'The port of Slack.' },
    'people-port': { type: 'string', shows: 'port', sentence: 'The port of the page of the people.' },
  },
  examples: ['carillon standins --connect main'],
  run: async (call) => {
    // Only here: no other command needs them.
    const { startStandins } = await import('../../../test/standins/start.ts');
    await using stack = new AsyncDisposableStack();
    const standins = await startStandins(portsOf(call));
    stack.defer(() => standins.stop());
    const folder = stringOption(call, 'folder') ?? 'standins';
    await writeCredentials(folder, standins);
    for (const line of standins.describe()) call.out.item({ service: line }, () => line);
    await letPeopleIn(call, standins);
    tellAssistant(call, folder);
    const hub = stringOption(call, 'connect');
    if (hub === undefined) tellHow(call, folder);
    else await connect(call, hub, standins);
    await show(call, standins);
  },
};

/** People of the server who have a mail address are in Teams and in Slack as well. Where no server runs, nobody is. */
async function letPeopleIn(call: Call, { people, teams, slack }: Standins): Promise<void> {
  const client = await call.client();
  teams.botUrl = `${client.url}/v1/assistant/teams/main/messages`;
  slack.baseUrl = `${client.url}/v1/assistant/slack/main`;
  type Known = { readonly items: readonly { readonly email?: string | null }[] };
  const known = await client.call<Known>('GET', '/v1/recipients', { query: { limit: 20 } }).catch(() => undefined);
  for (const { email } of known?.items ?? []) if (email) people.add(email);
}

function tellAssistant(call: Call, folder: string): void {
  const file = join(folder, 'assistant.json');
  const text = [
    '',
    'Let the assistant speak through Teams and Slack: in carillon.config.ts, with node:fs imported,',
    `  assistant: JSON.parse(readFileSync('${file}', 'utf8')),`,
    'and start the server with the secrets:',
    `  node --env-file=${join(folder, 'assistant.env')} bin/carillon.js start`,
  ].join('\n');
  call.out.item({ assistant: file }, () => text);
}

async function writeCredentials(folder: string, standins: Standins): Promise<void> {
  await mkdir(folder, { recursive: true });
  await chmod(folder, 0o700);
  for (const [platform, credentials] of Object.entries(standins.hubCredentials()))
    await writeFile(join(folder, `${platform}.json`), `${JSON.stringify(credentials, null, 2)}\n`, { mode: 0o600 });
  const { config, env } = standins.assistant();
  const secret = { mode: 0o600 };
  await writeFile(join(folder, 'assistant.json'), `${JSON.stringify(config, null, 2)}\n`, secret);
  const lines = Object.entries(env).map(([name, value]) => `${name}=${value}\n`);
  await writeFile(join(folder, 'assistant.env'), lines.join(''), secret);
  await writeFile(
    join(folder, 'browser-subscription.json'),
    `${JSON.stringify(standins.webpush.subscribe('browser-1'))}\n`,
  );
}

function tellHow(call: Call, folder: string): void {
  const commands = ['apns', 'fcmv1', 'wns', 'browser'].map(
    (platform) => `  carillon hub credentials set main ${platform} --file ${join(folder, `${platform}.json`)}`,
  );
  const text = [
    '',
    'Point a hub at them, in another terminal:',
    ...commands,
    '',
    'Then, for example:',
    ...tries(folder),
  ].join('\n');
  call.out.item({ folder }, () => text);
}

function tries(folder: string): string[] {
  return [
    '  carillon device put phone-1 --platform apns --address 00aabbccddeeff00112233445566778899aabbccddeeff001122334455667788',
    `  carillon device put tab-1 --platform browser --address @${join(folder, 'browser-subscription.json')}`,
    '  carillon push send "Hello" --wait',
  ];
}

async function connect(call: Call, hub: string, standins: Standins): Promise<void> {
  const client = await call.client();
  for (const [platform, body] of Object.entries(standins.hubCredentials()))
    await client.call('PUT', `/v1/hubs/${segment(hub)}/credentials/${platform}`, { body });
  call.out.item({ connected: hub }, () => `The hub "${hub}" uses them now, until it gets other credentials.`);
}

/** Prints each push until the process is told to end. */
async function show(call: Call, { apns, fcm, wns, webpush }: Standins): Promise<void> {
  const shelves = Object.entries({ apns: apns.pushes, fcmv1: fcm.messages, wns: wns.pushes, browser: webpush.pushes });
  const seen = new Map<string, number>();
  const end = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => end.abort());
  while (!end.signal.aborted) {
    for (const [platform, { items, total }] of shelves) {
      const fresh = Math.min(total - (seen.get(platform) ?? 0), items.length);
      seen.set(platform, total);
      for (const push of items.slice(items.length - fresh))
        call.out.item({ platform, push }, () => `${platform}  ${JSON.stringify(push)}`);
    }
    await sleep(showEveryMs, undefined, { signal: end.signal }).catch(() => {});
  }
}

function portsOf(call: Call): Record<string, number> {
  return Object.fromEntries(
    ['apns', 'fcm', 'wns', 'webpush', 'teams', 'slack', 'people'].flatMap((name) => {
      const given = stringOption(call, `${name}-port`);
      if (given === undefined) return [];
      const port = Number(given);
      if (!Number.isInteger(port) || port < 0 || port > 65_535)
        throw new UsageError(`--${name}-port wants a port; it is "${given}".`);
      return [[name, port] as const];
    }),
  );
}
