// The three backend systems of the original samples, played over the public API: they know nothing of people's
// devices or wishes, they publish what happened. Given the same dice they tell the same story.
import { setTimeout as sleep } from 'node:timers/promises';
import { segment } from './client.ts';
import { type Call, type Command, milliseconds, stringOption, UsageError } from './command.ts';
import { cloudEvent } from './flow.ts';
import { wholeOption } from './message-options.ts';

export type Dice = () => number;

/** A backend: its topic is its name, `next` is what happens in it next. */
type Backend = { readonly source: string; readonly next: (dice: Dice) => Happening };
type Happening = { readonly type: string; readonly subject: string; readonly data: Record<string, unknown> };

const PEOPLE = [
  { id: 'ada', name: 'Ada Lovelace' },
  { id: 'grace', name: 'Grace Hopper' },
  { id: 'alan', name: 'Alan Turing' },
  { id: 'katherine', name: 'Katherine Johnson' },
];
const TEAMS = ['Engines', 'Compilers', 'Ciphers', 'Trajectories'];
const PURPOSES = ['Two test benches', 'A conference in Lyon', 'Licences for the drawing office', 'A new kiln'];
const SHOPS = ['Corner bakery', 'Railway tickets', 'Bookshop', 'Power company'];

/** What customers of the sample are told about unless they choose another amount; debits vary around it. */
const USUAL_LIMIT = 100;

export const backends: Readonly<Record<string, Backend>> = {
  hr: { source: '/backends/hr', next: hr },
  finance: { source: '/backends/finance', next: finance },
  account: { source: '/backends/account', next: account },
};

function hr(dice: Dice): Happening {
  const employee = pick(PEOPLE, dice);
  const team = pick(TEAMS, dice);
  // HR knows who worked together; without `notify` everybody would be told.
  const notify = PEOPLE.filter(({ id }) => id !== employee.id).map(({ id }) => id);
  const data = { employee, team, notify };
  return pick<Happening>(
    [
      { type: 'hr.employee.joined', subject: employee.id, data },
      { type: 'hr.employee.left', subject: employee.id, data },
      { type: 'hr.employee.switched', subject: employee.id, data: { ...data, formerTeam: pick(TEAMS, dice, team) } },
    ],
    dice,
  );
}

function finance(dice: Dice): Happening {
  const requester = pick(PEOPLE, dice);
  const approver = pick(PEOPLE, dice, requester).id;
  const request = `BUD-${1000 + Math.floor(dice() * 9000)}`;
  const amount = Math.ceil(dice() * 200) * 50;
  const data = { request, requester, approver, amount, currency: 'EUR', purpose: pick(PURPOSES, dice) };
  return { type: 'finance.budget.requested', subject: request, data };
}

function account(dice: Dice): Happening {
  const customer = pick(PEOPLE, dice).id;
  const number = `CH-${customer}-01`;
  const amount = Math.round(USUAL_LIMIT * (0.4 + 1.2 * dice()) * 100) / 100;
  const data = { customer, account: number, amount, currency: 'EUR', text: pick(SHOPS, dice) };
  return { type: 'account.debited', subject: number, data };
}

function pick<T>(choices: readonly T[], dice: Dice, but?: T): T {
  const possible = choices.filter((choice) => choice !== but);
  return possible[Math.floor(dice() * possible.length)]!;
}

export const simulateCommand: Command = {
  words: 'simulate',
  summary: 'Play a backend system: publish its events over the API, one after the other',
  args: [{ name: 'backend', sentence: `One of ${Object.keys(backends).join(', ')}.` }],
  options: {
    every: { type: 'string', shows: 'duration', sentence: 'The time from one event to the next; 10s without this.' },
    count: { type: 'string', shows: 'number', sentence: 'End after so many; without this it goes on until Ctrl-C.' },
  },
  examples: ['carillon simulate hr --every 10s', 'carillon simulate account --every 500ms --count 20'],
  run: simulate,
};

async function simulate(call: Call): Promise<void> {
  const name = call.args.backend!;
  const backend = backends[name];
  if (!backend) throw new UsageError(`There is no backend "${name}"; there are ${Object.keys(backends).join(', ')}.`);
  const everyMs = milliseconds(stringOption(call, 'every') ?? '10s', 'every');
  const count = wholeOption(call, 'count', Number.POSITIVE_INFINITY);
  const client = await call.client();
  for (let sent = 0; sent < count; sent++) {
    if (sent > 0) await sleep(everyMs);
    const { type, subject, data } = backend.next(Math.random);
    const event = cloudEvent({ type, source: backend.source, subject, data });
    const path = `/v1/topics/${segment(name)}/events`;
    await client.call('POST', path, { body: event, contentType: 'application/cloudevents+json' });
    call.out.item(event, () => `${String(event.time).slice(11, 19)}  ${type}  ${JSON.stringify(data)}`);
  }
}
