// Commands for what cards ask people, and what they decided.
import { segment } from './client.ts';
import { type Argument, type Call, type Command, stringOption } from './command.ts';

type Row = Record<string, unknown>;
type Decision = {
  readonly state: string;
  readonly by?: { readonly id: string };
  readonly label?: string;
  readonly reason?: string;
  readonly at?: string;
};
type Question = Row & { readonly decision: Decision };

const question: Argument = { name: 'question', sentence: 'The id of the question, as `question list` shows it.' };

export const questionCommands: readonly Command[] = [
  {
    words: 'question list',
    summary: 'List what cards ask, and what was decided',
    options: {
      state: { type: 'string', shows: 'state', sentence: 'Only open, decided, expired or withdrawn ones.' },
      recipient: { type: 'string', shows: 'id', sentence: 'Only what this person is asked.' },
      topic: { type: 'string', shows: 'topic', sentence: 'Only what events of this topic ask.' },
      limit: { type: 'string', shows: 'number', sentence: 'How many to show at most.' },
      cursor: { type: 'string', shows: 'cursor', sentence: 'Where the page before this one ended.' },
    },
    examples: ['carillon question list --state open'],
    run: async (call) => {
      const query = Object.fromEntries(
        ['state', 'recipient', 'topic', 'limit', 'cursor'].map((name) => [name, stringOption(call, name)]),
      );
      const client = await call.client();
      const page = await client.call<{ items: Question[]; next: string | null }>('GET', '/v1/questions', { query });
      const items = call.out.json ? page.items : page.items.map(flat);
      call.out.list({ ...page, items }, ['id', 'notification', 'event', 'state', 'answer', 'by', 'at']);
    },
  },
  {
    words: 'question show',
    summary: 'Show a question with every answer to it, and whether the backend has its answer',
    args: [question],
    run: async (call) => {
      const found = await (await call.client()).call<Question & { answers: Row[]; work: Row[]; asked: Row[] }>(
        'GET',
        pathOf(call),
      );
      const { answers, work, asked, ...rest } = found;
      if (call.out.json) return call.out.fields(found);
      call.out.fields({
        ...flat(rest as Question),
        reason: found.decision.reason,
        asked: asked.map(({ recipientId }) => recipientId).join(', '),
      });
      for (const { at, actorId, actionId, surface, outcome } of answers)
        call.out.line(`answer  ${at}  ${actorId}: ${actionId} over ${surface} -> ${outcome}`);
      for (const { kind, attempts, doneAt, cause } of work)
        call.out.line(
          `${String(kind).padEnd(6)}  ${doneAt ?? cause ?? 'due'} (${attempts} ${attempts === 1 ? 'try' : 'tries'})`,
        );
    },
  },
  {
    words: 'question withdraw',
    summary: 'Withdraw an open question: nobody can answer it any more, and the backend hears so',
    args: [question],
    run: async (call) => {
      const found = await (await call.client()).call<Question>('POST', `${pathOf(call)}/withdraw`);
      call.out.result(found, () => `Withdrawn: ${found.id}.`);
    },
  },
  {
    words: 'question redrive',
    summary: 'Try answers again that were given up, because the topic or queue for them was not there',
    run: async (call) => {
      const answer = await (await call.client()).call<{ redriven: number }>('POST', '/v1/questions/redrive');
      call.out.result(answer, () => `${answer.redriven} redriven.`);
    },
  },
];

function pathOf({ args }: Call): string {
  return `/v1/questions/${segment(args.question!)}`;
}

function flat({ decision, ...rest }: Question): Row {
  const { state, by, label, at } = decision;
  return { ...rest, event: `${rest.topic}/${rest.eventId}`, state, answer: label, by: by?.id, at };
}
