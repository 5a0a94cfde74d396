// Questions for whoever looks after the system; the people who are asked have them in their inboxes.
import { Type } from 'typebox';
import { questionStates } from '../../../assistant/cards/decision.ts';
import type { Decisions } from '../../../assistant/decisions/decisions.ts';
import {
  getQuestion,
  listQuestions,
  type QuestionStory,
  type QuestionView,
} from '../../../assistant/decisions/list.ts';
import { withdrawQuestion } from '../../../assistant/decisions/withdraw.ts';
import { redriveWork } from '../../../assistant/decisions/work.ts';
import type { Database } from '../../../kit/database.ts';
import type { App } from '../app.ts';
import { decodeCursor, encodeCursor } from '../cursor.ts';
import { DecisionSchema, decisionJson } from '../decision-json.ts';
import { onEntity } from '../identity.ts';
import { Nullable, PageOf, PageQuery, responses, Time } from '../schemas.ts';

export type QuestionDeps = { readonly database: Database; readonly decisions: Pick<Decisions, 'wake'> };

const Question = Type.Object({
  id: Type.String({ examples: ['qst_3k8v0c2m5q'] }),
  topic: Type.String(),
  sequence: Type.Integer({ description: 'The number of the event that asked.' }),
  eventId: Type.String(),
  notification: Type.String(),
  createdAt: Time(),
  replyTo: Nullable(Type.String({ description: 'Where the answer goes.' })),
  correlationId: Nullable(Type.String()),
  requester: Nullable(Type.String({ description: 'Who asked, and must not answer.' })),
  decision: DecisionSchema,
});
const Story = Type.Object({
  ...Question.properties,
  asked: Type.Array(Type.Object({ recipientId: Type.String(), noticeId: Type.String() }), {
    description: 'Who may answer; the first 100.',
  }),
  answers: Type.Array(
    Type.Object({
      at: Time(),
      actorId: Type.String(),
      actionId: Type.String(),
      surface: Type.String(),
      via: Nullable(Type.String()),
      outcome: Type.String({ description: '`decided`, `again`, or the code of the refusal.' }),
    }),
    { description: 'Every answer that was given, counted or not, newest first; at most 100.' },
  ),
  work: Type.Array(
    Type.Object({
      kind: Type.Enum(['reply', 'tell'], {
        description: '`reply`: the backend gets its answer. `tell`: every surface shows it.',
      }),
      attempts: Type.Integer(),
      doneAt: Nullable(Time()),
      cause: Nullable(Type.String({ description: 'Why it was given up; redrive it.' })),
    }),
  ),
});
const Params = Type.Object({ question: Type.String({ maxLength: 64, examples: ['qst_3k8v0c2m5q'] }) });

export function questionRoutes(app: App, { database, decisions }: QuestionDeps): void {
  const read = { access: onEntity('listen', 'system:questions') };
  const manage = { access: onEntity('manage', 'system:questions') };
  app.get('/v1/questions', { config: read, schema: listSchema }, async ({ query }) => {
    const { state, topic, recipient: recipientId, limit, cursor } = query;
    const page = await listQuestions(database, {
      state,
      topic,
      recipientId,
      limit,
      after: decodeCursor('questions', cursor),
    });
    return { items: page.items.map(shown), next: encodeCursor('questions', page.next) };
  });
  app.get('/v1/questions/:question', { config: read, schema: showSchema }, async ({ params }) =>
    storyOf(await getQuestion(database, params.question)),
  );
  app.post('/v1/questions/:question/withdraw', { config: manage, schema: withdrawSchema }, async ({ params }) => {
    await database.transaction((tx) => withdrawQuestion(tx, params.question, new Date()));
    decisions.wake();
    return storyOf(await getQuestion(database, params.question));
  });
  app.post('/v1/questions/redrive', { config: manage, schema: redriveSchema }, async () => {
    const redriven = await redriveWork(database, new Date());
    decisions.wake();
    return { redriven };
  });
}

function storyOf({ answers, work, ...rest }: QuestionStory) {
  return {
    ...shown(rest),
    answers: answers.map((each) => ({ ...each, at: each.at.toISOString() })),
    work: work.map((each) => ({ ...each, doneAt: each.doneAt?.toISOString() ?? null })),
  };
}

function shown<Q extends QuestionView>({ createdAt, decision, ...rest }: Q) {
  return { ...rest, createdAt: createdAt.toISOString(), decision: decisionJson(decision) };
}

const tags = ['deliveries'];
const listSchema = {
  operationId: 'listQuestions',
  summary: 'List what cards ask',
  description: 'Newest first: which questions are open, and who decided the others.',
  tags,
  querystring: Type.Object({
    state: Type.Optional(Type.Enum([...questionStates])),
    topic: Type.Optional(Type.String({ maxLength: 260 })),
    recipient: Type.Optional(Type.String({ maxLength: 128, description: 'Only what this person is asked.' })),
    ...PageQuery,
  }),
  response: responses({ 200: PageOf(Question) }),
};
const showSchema = {
  operationId: 'readQuestion',
  summary: 'Show one question with every answer to it',
  tags,
  params: Params,
  response: responses({ 200: Story }),
};
const withdrawSchema = {
  operationId: 'withdrawQuestion',
  summary: 'Withdraw a question',
  description: 'Nobody can answer it any more; its backend is told so on the reply topic.',
  tags,
  params: Params,
  response: responses({ 200: Story }, 409),
};
const redriveSchema = {
  operationId: 'redriveAnswers',
  summary: 'Try answers again that were given up',
  description: 'An answer is given up after a day in which the topic or queue for it was not there.',
  tags,
  response: responses({ 200: Type.Object({ redriven: Type.Integer() }) }),
};
