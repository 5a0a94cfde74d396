// Commands for Apple's broadcast channels: one push for everybody who follows a channel with a Live Activity.
import { readFile } from 'node:fs/promises';
import { segment } from './client.ts';
import { type Argument, type Call, type Command, pairsOption, stringOption, UsageError } from './command.ts';

type Row = Record<string, unknown>;

const hub: Argument = { name: 'hub', sentence: 'The name of the hub, such as main.' };
const channel: Argument = { name: 'channel', sentence: "The channel's id, as it was printed when it was made." };

export const hubChannelCommands: readonly Command[] = [
  {
    words: 'hub channels create',
    summary: 'Make a broadcast channel, which apps of iOS 18 follow with a Live Activity',
    args: [hub],
    options: {
      'stores-newest': { type: 'boolean', sentence: 'Who comes online later gets the newest push, until it expires.' },
    },
    run: async (call) => {
      const body = { storesNewest: call.options['stores-newest'] === true };
      const made = await (await call.client()).call<{ id: string }>('POST', channelsPath(call), { body });
      call.out.result(made, () => made.id);
    },
  },
  {
    words: 'hub channels push',
    summary: 'Push to everybody who follows a channel, and say what Apple answered',
    args: [hub, channel],
    options: {
      payload: { type: 'string', shows: 'text', sentence: "Apple's payload, or @ and a file that holds it." },
      header: {
        type: 'string',
        shows: 'name=value',
        multiple: true,
        sentence: "A header of Apple's, such as apns-expiration; repeatable.",
      },
    },
    examples: [
      `carillon hub channels push main dHN0LXNyY2gtY2hubA== --payload '{"aps":{"timestamp":1795341600,"event":"update","content-state":{"score":3}}}'`,
    ],
    run: async (call) => {
      const path = `${channelsPath(call)}/${segment(call.args.channel!)}/pushes`;
      const headers = Object.fromEntries(pairsOption(call, 'header'));
      const body = { body: await payloadOf(call), headers };
      const { outcome } = await (await call.client()).call<{ outcome: string }>('POST', path, { body });
      call.out.result({ outcome }, () => outcome);
    },
  },
  {
    words: 'hub channels delete',
    summary: 'Remove a broadcast channel',
    args: [hub, channel],
    run: async (call) => {
      await (await call.client()).call('DELETE', `${channelsPath(call)}/${segment(call.args.channel!)}`);
      call.out.result({ deleted: true }, () => 'done');
    },
  },
  {
    words: 'hub channels',
    summary: "List the broadcast channels of a hub's Apple app",
    args: [hub],
    run: async (call) => {
      const page = await (await call.client()).call<{ items: Row[] }>('GET', channelsPath(call));
      call.out.list(page, ['id']);
    },
  },
];

async function payloadOf(call: Call): Promise<string> {
  const payload = stringOption(call, 'payload');
  if (payload === undefined) throw new UsageError('--payload is missing: it is what Apple gets.');
  return payload.startsWith('@') ? readFile(payload.slice(1), 'utf8') : payload;
}

function channelsPath(call: Call): string {
  return `/v1/hubs/${segment(call.args.hub!)}/channels`;
}
