// Commands for conversations: what was said, where a person can be spoken to, and whether that works.
import { segment } from './client.ts';
import { type Argument, type Call, type Command, stringOption } from './command.ts';
import { getPage, paging } from './entities.ts';

type Row = Record<string, unknown>;
type Page<R = Row> = { readonly items: readonly R[]; readonly next?: string | null };
type Activity = {
  readonly type?: string;
  readonly name?: string;
  readonly text?: string;
  readonly summary?: string;
  readonly timestamp?: string;
  readonly value?: unknown;
};
type Said = { readonly sequence: number; readonly author: string; readonly activity: Activity };

const recipient: Argument = { name: 'recipient', sentence: 'The id of the recipient.' };
const conversation: Argument = { name: 'conversation', sentence: 'Its id, as `conversation list` shows it.' };

export const conversationCommands: readonly Command[] = [
  {
    words: 'conversation list',
    summary: 'List the conversations of a person in the web chat',
    args: [recipient],
    options: paging,
    run: async (call) => {
      const page = await getPage(call, pathOf(call));
      call.out.list(page, ['id', 'agent', 'standing', 'activities', 'lastAt', 'openedAt']);
    },
  },
  {
    words: 'conversation show',
    summary: 'Show what was said in a conversation, the newest at the end',
    args: [recipient, { ...conversation, optional: true, sentence: 'Its id; the one that was used last without it.' }],
    options: paging,
    run: show,
  },
  {
    words: 'conversation places',
    summary: 'List where the assistant can speak to a person, in the order in which it tries',
    args: [recipient],
    run: async (call) => {
      const page = await (await call.client()).call<Page>('GET', placesOf(call));
      call.out.list(page, ['surface', 'connection', 'place', 'state', 'lastSeenAt', 'lastError']);
    },
  },
  {
    words: 'conversation test',
    summary: 'Say a test in the places of a person, and what came of it',
    details: 'In all places, or those of one surface. No notice is made of it.',
    args: [recipient],
    options: {
      surface: { type: 'string', shows: 'name', sentence: 'Only directline, teams, slack or webhook.' },
      text: { type: 'string', shows: 'text', sentence: 'What it says; "It works" without it.' },
    },
    examples: ['carillon conversation test ada --surface teams'],
    run: async (call) => {
      const body = { surface: stringOption(call, 'surface'), text: stringOption(call, 'text') };
      const tried = await (await call.client()).call<Page>('POST', `${placesOf(call)}/test`, { body });
      call.out.list(tried, ['surface', 'connection', 'place', 'outcome', 'cause', 'detail']);
    },
  },
  {
    words: 'conversation close',
    summary: 'End a conversation and forget what was said in it',
    args: [recipient, conversation],
    run: async (call) => {
      await (await call.client()).call('DELETE', `${pathOf(call)}/${segment(call.args.conversation!)}`);
      call.out.result({ closed: true }, () => 'done');
    },
  },
];

async function show(call: Call): Promise<void> {
  const client = await call.client();
  const id = call.args.conversation ?? (await client.call<Page<{ id: string }>>('GET', pathOf(call))).items[0]?.id;
  if (id === undefined) return call.out.result({ items: [], next: null }, () => '(none)');
  const page = await getPage<Said>(call, `${pathOf(call)}/${segment(id)}/activities`);
  if (call.out.json) return call.out.result(page, () => '');
  const rows = page.items.toReversed().map(({ author, activity }) => {
    return { at: activity.timestamp, who: author === 'user' ? call.args.recipient : author, said: wordsOf(activity) };
  });
  call.out.list({ items: rows, ...(page.next && { next: page.next }) }, ['at', 'who', 'said']);
}

/** Its text, the text twin of its card, or what was pressed. */
function wordsOf({ type, name, text, summary, value }: Activity): string {
  if (text || summary) return text || summary!;
  const what = type === 'message' ? '' : `(${[type, name].filter(Boolean).join(' ')}) `;
  return value === undefined ? what.trim() : `${what}${JSON.stringify(value)}`;
}

function pathOf({ args }: Call): string {
  return `/v1/recipients/${segment(args.recipient!)}/conversations`;
}

function placesOf({ args }: Call): string {
  return `/v1/recipients/${segment(args.recipient!)}/places`;
}
