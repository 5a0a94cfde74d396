// Commands for hubs: their credentials, and the keys of their clients.
import { readFile } from 'node:fs/promises';
import { segment } from './client.ts';
import {
  type Argument,
  type Call,
  type Command,
  listOption,
  pairsOption,
  stringOption,
  UsageError,
} from './command.ts';
import { parseJson } from './entities.ts';
import { fieldLines, table } from './output.ts';

type Row = Record<string, unknown>;
type Status = {
  readonly problem?: string;
  readonly sends: { readonly underWay: number; readonly oldest: string | null };
  readonly lanes: readonly {
    readonly platform: string;
    readonly state: string;
    readonly cause?: string;
    readonly since?: string;
    readonly until?: string;
    readonly perSecond?: number;
    readonly advice?: string;
    readonly lastHour: Readonly<Record<string, number>>;
  }[];
};
type Rule = { readonly name: string; readonly connectionString: string };

const hub: Argument = { name: 'hub', sentence: 'The name of the hub, such as main.' };
const platform: Argument = { name: 'platform', sentence: 'apns, fcmv1, wns or browser.' };

export const hubCommands: readonly Command[] = [
  {
    words: 'hub list',
    summary: 'List hubs with the platforms that they can push to',
    run: async (call) => {
      const page = await (await call.client()).call<{ items: Row[] }>('GET', '/v1/hubs');
      const items = page.items.map((each) => ({ ...each, platforms: Object.keys(each.platforms as object) }));
      call.out.list(call.out.json ? page : { items }, ['name', 'platforms', 'deviceDays', 'version', 'updatedAt']);
    },
  },
  {
    words: 'hub show',
    summary: 'Show a hub, without its secrets, and how its devices and push services do',
    details:
      'Pushes are those of the last hour, of the node that answers. A push service that takes nothing is explained below the table, with what to do.',
    args: [hub],
    run: showHub,
  },
  {
    words: 'hub put',
    summary: 'Make a hub, or change its settings',
    args: [hub],
    options: {
      'device-days': {
        type: 'string',
        shows: 'days',
        sentence: 'How long a device lives after its app registered it last; for ever without it.',
      },
      note: { type: 'string', shows: 'text', sentence: 'Your own words about it.' },
    },
    run: async (call) => {
      const [days, note] = [stringOption(call, 'device-days'), stringOption(call, 'note')];
      const body = {
        ...(days === undefined ? {} : { deviceDays: Number(days) }),
        ...(note === undefined ? {} : { note }),
      };
      call.out.fields(await (await call.client()).call('PUT', hubPath(call), { body }));
    },
  },
  {
    words: 'hub delete',
    summary: 'Delete a hub with all its devices',
    args: [hub],
    run: async (call) => {
      await (await call.client()).call('DELETE', hubPath(call));
      call.out.result({ deleted: true }, () => 'done');
    },
  },
  {
    words: 'hub credentials set',
    summary: 'Give a hub the credentials of a push service, or rotate them',
    details:
      'All nodes use them within seconds, without a restart; pushes under way end with the older ones. They are kept encrypted and never shown again. Credentials that the config file names are written again at each start.',
    args: [hub, platform],
    options: {
      file: { type: 'string', shows: 'file', sentence: "A JSON file with them; for fcmv1 Google's key file as it is." },
      set: {
        type: 'string',
        shows: 'name=value',
        multiple: true,
        sentence: 'One of them, over those of the file; repeatable.',
      },
      'private-key': { type: 'string', shows: 'file', sentence: 'For apns: the .p8 file.' },
      secret: { type: 'string', shows: 'file', sentence: 'For wns: a file that holds the secret.' },
    },
    examples: [
      'carillon hub credentials set main apns --private-key AuthKey_ABC123DEFG.p8 --set keyId=ABC123DEFG --set teamId=DEF123GHIJ --set bundleId=com.example.app --set environment=production',
      'carillon hub credentials set main fcmv1 --file service-account.json',
      'carillon hub credentials set main wns --set packageSid=ms-app://... --secret wns-secret.txt',
    ],
    run: async (call) => {
      const path = `${hubPath(call)}/credentials/${segment(call.args.platform!)}`;
      const changed = await (await call.client()).call<Row>('PUT', path, { body: await credentialsOf(call) });
      call.out.fields(changed);
    },
  },
  {
    words: 'hub credentials delete',
    summary: 'Take the credentials of a push service away; Web Push gets new keys instead',
    args: [hub, platform],
    run: async (call) => {
      const path = `${hubPath(call)}/credentials/${segment(call.args.platform!)}`;
      call.out.fields(await (await call.client()).call('DELETE', path));
    },
  },
  {
    words: 'hub keys rotate',
    summary: 'Give a rule a new primary key; the older one works until the next rotation',
    args: [hub, { name: 'rule', sentence: 'The name of the rule, as `hub keys` shows it.' }],
    run: async (call) => {
      const path = `${hubPath(call)}/rules/${segment(call.args.rule!)}/rotate`;
      const rule = await (await call.client()).call<Rule>('POST', path);
      call.out.result(rule, () => rule.connectionString);
    },
  },
  {
    words: 'hub keys put',
    summary: 'Give a hub a rule with keys of its own',
    args: [hub, { name: 'rule', sentence: 'Its name.' }],
    options: {
      right: { type: 'string', shows: 'right', multiple: true, sentence: 'Listen, Send or Manage; repeatable.' },
    },
    examples: ['carillon hub keys put main android-app --right Listen'],
    run: async (call) => {
      const path = `${hubPath(call)}/rules/${segment(call.args.rule!)}`;
      const rule = await (await call.client()).call<Rule>('PUT', path, { body: { rights: listOption(call, 'right') } });
      call.out.result(rule, () => rule.connectionString);
    },
  },
  {
    words: 'hub keys delete',
    summary: 'Remove a rule of a hub; a preset one is then as the settings have it',
    args: [hub, { name: 'rule', sentence: 'Its name.' }],
    run: async (call) => {
      await (await call.client()).call('DELETE', `${hubPath(call)}/rules/${segment(call.args.rule!)}`);
      call.out.result({ deleted: true }, () => 'done');
    },
  },
  {
    words: 'hub keys',
    summary: 'Print the connection strings that clients of Azure Notification Hubs are configured with',
    args: [hub],
    run: async (call) => {
      const page = await (await call.client()).call<{ items: Row[] }>('GET', `${hubPath(call)}/rules`);
      call.out.list(page, ['name', 'rights', 'preset', 'connectionString']);
    },
  },
];

async function showHub(call: Call): Promise<void> {
  const client = await call.client();
  const known = await client.call<Row>('GET', hubPath(call));
  const status = await client.call<Status>('GET', `${hubPath(call)}/status`);
  const { platforms, ...fields } = known;
  const credentials = Object.entries(platforms as Record<string, Record<string, string>>).map(([platform, shown]) => ({
    platform,
    credentials: Object.entries(shown)
      .map(([name, value]) => `${name}=${value}`)
      .join(' '),
  }));
  call.out.result({ ...known, status }, () =>
    [fieldLines(fields), '', ...statusLines(status), '', table(credentials, ['platform', 'credentials'])].join('\n'),
  );
}

function statusLines({ lanes, sends, problem }: Status): string[] {
  const rows = lanes.map(({ lastHour, ...lane }) => ({ ...lane, ...lastHour, state: stateWords(lane) }));
  const columns = ['platform', 'devices', 'dead', 'state', 'delivered', 'retried', 'pruned', 'refused'];
  const advice = lanes.flatMap(({ platform, advice }) => (advice === undefined ? [] : ['', `${platform}: ${advice}`]));
  const waiting = `${sends.underWay} ${sends.underWay === 1 ? 'send' : 'sends'} under way${sends.oldest ? `, the first since ${sends.oldest}` : ''}`;
  return [...(problem ? [problem, ''] : []), table(rows, columns), ...advice, ...(sends.underWay ? ['', waiting] : [])];
}

function stateWords({ state, cause, since, until, perSecond }: Omit<Status['lanes'][number], 'lastHour'>): string {
  const times = [since ? `since ${since}` : '', until && state === 'paused' ? `until ${until}` : ''];
  const words = [state.replace('_', ' '), perSecond ? `to ${perSecond}/s` : '', ...times].filter((part) => part !== '');
  return words.join(' ') + (cause ? `: ${cause}` : '');
}

async function credentialsOf(call: Call): Promise<Row> {
  const file = stringOption(call, 'file');
  const given = file === undefined ? {} : parseJson(await read(file));
  if (typeof given !== 'object' || given === null) throw new UsageError(`${file} holds no JSON object.`);
  const [key, secret] = [stringOption(call, 'private-key'), stringOption(call, 'secret')];
  return {
    ...given,
    ...Object.fromEntries(pairsOption(call, 'set')),
    ...(key === undefined ? {} : { privateKey: await read(key) }),
    ...(secret === undefined ? {} : { secret: (await read(secret)).trim() }),
  };
}

async function read(file: string): Promise<string> {
  return readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new UsageError(`${file} cannot be read (${error.code}).`);
  });
}

function hubPath({ args }: Call): string {
  return `/v1/hubs/${segment(args.hub!)}`;
}
