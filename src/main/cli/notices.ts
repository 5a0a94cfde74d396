// Commands that take back or correct what an event told people.
import { readFile } from 'node:fs/promises';
import { segment } from './client.ts';
import { type Call, type Command, listOption, type Option, pairsOption, stringOption, UsageError } from './command.ts';
import { parseJson } from './entities.ts';

const which: Readonly<Record<string, Option>> = {
  topic: { type: 'string', shows: 'topic', sentence: 'The topic of the event.' },
  event: { type: 'string', shows: 'id', sentence: 'The id of the event.' },
  sequence: { type: 'string', shows: 'number', sentence: 'Its number in the topic, instead of the id.' },
  notification: { type: 'string', shows: 'name', sentence: 'Only what this notification told.' },
  recipient: { type: 'string', shows: 'id', multiple: true, sentence: 'Only what this person was told; repeatable.' },
};

export const noticeCommands: readonly Command[] = [
  {
    words: 'notice recall',
    summary: 'Take back what an event told people: in their inboxes and wherever its cards stand',
    details:
      'What has not gone out is cancelled; mails and pushes that went out cannot be caught. A question that nobody is asked any more is withdrawn. May be run again.',
    options: { ...which, reason: { type: 'string', shows: 'text', sentence: 'What people read instead.' } },
    examples: ['carillon notice recall --topic hr --event 5f0c --reason "Sent to the wrong team."'],
    run: async (call) => {
      const body = { ...bodyOf(call), reason: stringOption(call, 'reason') };
      type Recalled = { notices: number; cancelled: number; questions: number };
      const done = await (await call.client()).call<Recalled>('POST', pathOf(call, 'recall'), { body });
      call.out.result(
        done,
        () =>
          `${done.notices} taken back, ${done.cancelled} deliveries cancelled, ${done.questions} questions withdrawn.`,
      );
    },
  },
  {
    words: 'notice update',
    summary: 'Correct what an event told people, where it stands',
    options: {
      ...which,
      title: { type: 'string', shows: 'text', sentence: 'The title of the new card.' },
      body: { type: 'string', shows: 'text', sentence: 'Its text.' },
      fact: { type: 'string', shows: 'label=value', multiple: true, sentence: 'A fact on it; repeatable.' },
      card: { type: 'string', shows: 'json', sentence: 'The whole card instead; @file reads it from a file.' },
    },
    examples: ['carillon notice update --topic hr --event 5f0c --title "The lift works again"'],
    run: async (call) => {
      const body = { ...bodyOf(call), card: await cardOf(call) };
      const done = await (await call.client()).call<{ notices: number }>('POST', pathOf(call, 'update'), { body });
      call.out.result(done, () => `${done.notices} corrected.`);
    },
  },
];

function pathOf(call: Call, verb: string): string {
  const topic = stringOption(call, 'topic');
  if (topic === undefined) throw new UsageError('--topic is missing: the topic of the event.');
  return `/v1/topics/${segment(topic)}/notices/${verb}`;
}

function bodyOf(call: Call) {
  const sequence = stringOption(call, 'sequence');
  const event = stringOption(call, 'event');
  if ((event === undefined) === (sequence === undefined)) throw new UsageError('Give either --event or --sequence.');
  if (sequence !== undefined && !/^\d{1,15}$/.test(sequence))
    throw new UsageError(`--sequence wants a number; it is "${sequence}".`);
  const recipients = listOption(call, 'recipient');
  return {
    event,
    sequence: sequence === undefined ? undefined : Number(sequence),
    notification: stringOption(call, 'notification'),
    recipients: recipients.length > 0 ? recipients : undefined,
  };
}

async function cardOf(call: Call): Promise<unknown> {
  const card = stringOption(call, 'card');
  const title = stringOption(call, 'title');
  if ((card === undefined) === (title === undefined)) throw new UsageError('Give either --title or --card.');
  if (card !== undefined) return parseJson(card.startsWith('@') ? await readFile(card.slice(1), 'utf8') : card);
  const facts = pairsOption(call, 'fact', 'label=value').map(([label, value]) => ({ label, value }));
  return { title, body: stringOption(call, 'body'), ...(facts.length > 0 && { facts }) };
}
