// Commands for dead letters: deliveries to people that were given up, or, with a place, the messages of a subscription or queue.
import { Refused } from './client.ts';
import { type Call, type Command, stringOption, UsageError } from './command.ts';
import { getPage, paging } from './entities.ts';
import { apiPath, type Place, placeGiven, placeOptions, sequencesOf } from './message-options.ts';

type Row = Record<string, unknown>;

const channel = { type: 'string', shows: 'channel', sentence: 'Of deliveries: only those of this channel.' } as const;
const WHERE = 'With --topic and --subscription, or --queue: those messages of it.';

export const MESSAGE_COLUMNS: readonly string[] = [
  'sequence',
  'messageId',
  'subject',
  'deadLetterReason',
  'deadLetterDescription',
  'enqueuedAt',
];

export const deadLetterCommands: readonly Command[] = [
  {
    words: 'dead-letter list',
    summary: 'List the deliveries that were given up, newest first',
    details: WHERE,
    options: {
      ...placeOptions,
      ...paging,
      channel,
      cause: { type: 'string', shows: 'code', sentence: 'Of deliveries: only those of this cause.' },
    },
    examples: ['carillon dead-letter list', 'carillon dead-letter list --topic hr --subscription audit'],
    run: async (call) => {
      const place = placeGiven(call);
      if (place) return listMessages(call, place);
      const query = { state: 'dead', channel: stringOption(call, 'channel'), cause: stringOption(call, 'cause') };
      const columns = ['id', 'channel', 'recipientId', 'cause', 'attempts', 'diedAt', 'detail'];
      call.out.list(await getPage(call, '/v1/deliveries', query), columns);
    },
  },
  {
    words: 'dead-letter causes',
    summary: 'Count them by cause',
    details: WHERE,
    options: placeOptions,
    run: async (call) => {
      const place = placeGiven(call);
      const client = await call.client();
      if (!place)
        return call.out.list(await client.call('GET', '/v1/deliveries/causes'), [
          'channel',
          'reason',
          'cause',
          'count',
        ]);
      call.out.list(await client.call('GET', `${apiPath(place)}/dead-letters/causes`), [
        'reason',
        'count',
        'first',
        'last',
      ]);
    },
  },
  {
    words: 'dead-letter redrive',
    summary: 'Put them back to work: one by id, or by cause, or all',
    details: WHERE,
    args: [{ name: 'id', optional: true, sentence: 'The id of one delivery.' }],
    options: {
      ...placeOptions,
      sequence: {
        type: 'string',
        shows: 'number',
        multiple: true,
        sentence: 'Of messages: the number of one; repeatable.',
      },
      cause: { type: 'string', shows: 'code', sentence: 'All of this cause (of messages: of this reason).' },
      all: { type: 'boolean', sentence: 'All of them.' },
      channel: { type: 'string', shows: 'channel', sentence: 'With --cause or --all: only those of this channel.' },
    },
    examples: [
      'carillon dead-letter redrive --all',
      'carillon dead-letter redrive --topic hr --subscription audit --cause MaxDeliveryCountExceeded',
    ],
    run: async (call) => {
      const place = placeGiven(call);
      const path = place ? `${apiPath(place)}/dead-letters/redrive` : '/v1/deliveries/redrive';
      const body = place ? inNumbers(chosenMessages(call)) : chosenDeliveries(call);
      const result = await (await call.client()).call<{ redriven: number }>('POST', path, { body });
      if (result.redriven === 0 && body.sequences)
        throw new Refused(404, { code: 'not_found', detail: 'No dead letter has such a number.' });
      call.out.result(result, () => `${result.redriven} put back to work`);
    },
  },
];

async function listMessages(call: Call, place: Place): Promise<void> {
  refuseOfDeliveries(call, ['channel', 'cause']);
  const page = await getPage(call, `${apiPath(place)}/messages`, { of: 'dead' });
  call.out.list(page, MESSAGE_COLUMNS);
}

/** Options that would be passed over say something else than was meant. */
export function refuseOfDeliveries(call: Call, names: readonly string[]): void {
  const given = names.find((name) => call.options[name] !== undefined);
  if (given)
    throw new UsageError(`--${given} is of deliveries to people, not of the messages of a subscription or queue.`);
}

/** Which dead letters of a place are meant. */
export function chosenMessages(call: Call): { sequences?: bigint[]; reason?: string; all?: true } {
  refuseOfDeliveries(call, ['channel']);
  if (call.args.id !== undefined) throw new UsageError('<id> is of deliveries; a message is named by --sequence.');
  const sequences = sequencesOf(call);
  const reason = stringOption(call, 'cause');
  const given = [sequences.length > 0, reason !== undefined, call.options.all === true].filter(Boolean).length;
  if (given !== 1) throw new UsageError('Give one of --sequence, --cause and --all.');
  if (sequences.length > 0) return { sequences };
  return reason === undefined ? { all: true } : { reason };
}

function inNumbers({ sequences, ...rest }: ReturnType<typeof chosenMessages>): Row {
  return { ...rest, ...(sequences ? { sequences: sequences.map(Number) } : {}) };
}

function chosenDeliveries(call: Call): Row {
  const cause = stringOption(call, 'cause');
  const ofChannel = stringOption(call, 'channel');
  if (sequencesOf(call).length > 0)
    throw new UsageError('--sequence is of messages: give --topic and --subscription, or --queue.');
  const chosen = [call.args.id, cause, call.options.all].filter((given) => given !== undefined);
  if (chosen.length !== 1) throw new UsageError('Give one of <id>, --cause and --all.');
  if (call.args.id) return { ids: [call.args.id] };
  return { ...(cause ? { cause } : { all: true }), ...(ofChannel ? { channel: ofChannel } : {}) };
}
