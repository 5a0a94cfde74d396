// Second step of the handler, pure: for each person that an event concerns, what they wanted, what they are told, over
// which channels, and the rows of the decision trace that say so.
import { type ChannelName, channelNames } from '../deliveries/channel.ts';
import type { PlannedDelivery } from '../deliveries/plan.ts';
import { PLANNED, type TraceRow } from '../deliveries/trace.ts';
import type { NewNotice } from '../inbox/append.ts';
import type { Notice } from '../inbox/notice.ts';
import { type Card, cardJson, parseCard } from '../kit/card.ts';
import { derivedId } from '../kit/ids.ts';
import type { Person } from '../people/preference-records.ts';
import { type Decision, decideChannels, type Reason } from '../people/preferences.ts';
import { type Endpoint, endpointsOf, type FoundEndpoints } from './endpoints.ts';
import { attempt, Failure, type Matched, type Refused, refused } from './match.ts';
import type { Category, Defined } from './notification.ts';

/** A notice that is to be written, with what follows from it if it is new. */
export type Draft = NewNotice & { readonly plans: readonly PlannedDelivery[]; readonly trace: readonly TraceRow[] };

/** What comes of one event. */
export type Drafted = {
  readonly kind: 'drafted';
  readonly matched: Matched;
  readonly drafts: readonly Draft[];
  /** Rows that are written whether or not any notice is new. */
  readonly trace: readonly TraceRow[];
};

/** What is known when notices are drafted: the people of the batch, where they can be reached, and the time. */
export type Known = {
  readonly people: ReadonlyMap<string, Person>;
  readonly endpoints: FoundEndpoints;
  readonly categories: ReadonlyMap<string, Category>;
  readonly now: Date;
};

const MAX_DETAIL = 2_000;

const why: Record<Reason, string> = {
  mandatory: 'mandatory',
  locked: 'set by the organisation',
  condition: "the person's condition does not match",
  category: 'chosen for this category',
  flag: 'switched off for this channel',
  organisation: "the organisation's default",
  default: 'default',
};

/** Drafts the notices of one event for the listed people; a definition that throws refuses the event as a whole. */
export function draftEvent(matched: Matched, known: Known): Drafted | Refused {
  const drafts: Draft[] = [];
  const trace: TraceRow[] = [rowOfEvent(matched, known.now)];
  for (const wish of matched.wishes) {
    if (wish.audience.kind !== 'list') continue;
    for (const id of wish.audience.ids) {
      const draft = draftNotice(matched, wish.definition, known.people.get(id)!, known);
      if (draft instanceof Failure) return refused(matched.message, wish.definition.name, 'content', draft);
      if ('notice' in draft) drafts.push(draft);
      else trace.push(draft);
    }
  }
  return { kind: 'drafted', matched, drafts, trace };
}

/** A draft, or the trace row that says why this person gets nothing. */
export function draftNotice(
  matched: Matched,
  definition: Defined,
  person: Person,
  known: Known,
): Draft | TraceRow | Failure {
  const policy = known.categories.get(definition.category);
  const decisions = decideChannels(definition, person.settings, policy, matched.lookup);
  const reached = decisions.map((decision) => reach(decision, person, known));
  const row = { ...rowBase(matched, known.now), notification: definition.name, recipientId: person.id };
  if (reached.every(({ endpoints }) => endpoints === undefined)) {
    return { ...row, noticeId: null, step: 'decide', outcome: 'silent', detail: inWords(reached) };
  }
  // The size of the card is checked here as well, where a fault is still about this event alone.
  const card = attempt(() => {
    const parsed = parseCard(definition.content(matched.event, person));
    return { parsed, json: cardJson(parsed) };
  });
  if (card instanceof Failure) return card;
  const notice = noticeOf(matched, definition, person.id, card.parsed, known.now);
  return { notice, card: card.json, ...followUps(notice, reached, row) };
}

type Reached = { readonly decision: Decision; readonly endpoints: readonly Endpoint[] | undefined };

/** Undefined endpoints: the channel is off, or there is no way to reach the person over it. */
function reach(decision: Decision, person: Person, known: Known): Reached {
  if (!decision.on) return { decision, endpoints: undefined };
  if (decision.channel === 'inbox') return { decision, endpoints: [] };
  const endpoints = endpointsOf(known.endpoints, decision.channel, person.id);
  return { decision, endpoints: endpoints.length > 0 ? endpoints : undefined };
}

function noticeOf(
  { message, event }: Matched,
  definition: Defined,
  recipientId: string,
  card: Card,
  now: Date,
): Notice {
  return {
    id: derivedId('ntc', message.topic, message.partition, message.sequence, definition.name, recipientId),
    recipientId,
    topic: message.topic,
    partition: message.partition,
    sequence: message.sequence,
    eventId: event.id,
    notification: definition.name,
    category: definition.category,
    urgency: definition.urgency,
    card,
    createdAt: now,
  };
}

type RowBase = ReturnType<typeof rowBase> & { readonly notification: string; readonly recipientId: string };

function followUps(notice: Notice, reached: readonly Reached[], row: RowBase): Omit<Draft, 'notice' | 'card'> {
  const base = { ...row, noticeId: notice.id };
  const plans: PlannedDelivery[] = [];
  const trace: TraceRow[] = [{ ...base, step: 'decide', outcome: 'notice', detail: inWords(reached) }];
  for (const { decision, endpoints = [] } of reached) {
    for (const endpoint of endpoints) plans.push(planOf(notice, decision.channel, endpoint));
    if (endpoints.length === 0) continue;
    const detail = endpoints.length === 1 ? null : `${endpoints.length} endpoints`;
    trace.push({ ...base, channel: decision.channel, step: 'plan', outcome: PLANNED, detail });
  }
  const toInbox = reached.some(({ decision, endpoints }) => decision.channel === 'inbox' && endpoints !== undefined);
  return { toInbox, plans, trace };
}

function planOf(notice: Notice, channel: ChannelName, endpoint: Endpoint): PlannedDelivery {
  const { id: noticeId, recipientId, urgency, createdAt: dueAt } = notice;
  return { noticeId, recipientId, channel, endpoint, urgency, dueAt };
}

export function rowBase({ message, event }: Matched, at: Date) {
  const { topic, partition, sequence } = message;
  return { topic, partition, sequence, eventId: event.id, at };
}

function rowOfEvent(matched: Matched, now: Date): TraceRow {
  const { wishes, faults } = matched;
  const names = wishes.map(({ definition }) => definition.name);
  const detail = [...(names.length > 0 ? [names.join(', ')] : []), ...faults].join('; ');
  return {
    ...rowBase(matched, now),
    notification: names.length === 1 ? names[0]! : null,
    recipientId: null,
    noticeId: null,
    step: 'match',
    outcome: wishes.length > 0 ? 'matched' : 'none',
    detail: detail === '' ? null : detail,
  };
}

/** The row about an event that was dead-lettered. */
export function rowOfRefused({ message, reason, description, notification }: Refused, at: Date): TraceRow {
  const { topic, partition, sequence } = message;
  const base = { topic, partition, sequence, eventId: storable(message.messageId), at };
  return {
    ...base,
    notification: notification ?? null,
    recipientId: null,
    noticeId: null,
    step: 'match',
    outcome: 'refused',
    detail: storable(`${reason}: ${description}`),
  };
}

/** Without what PostgreSQL's text cannot hold: the row is about an event that may be refused for just that. */
function storable(text: string): string {
  return text.slice(0, MAX_DETAIL).replaceAll('\0', '').toWellFormed();
}

/** `inbox on (default), email no endpoint`: few combinations, so the texts are kept. */
function inWords(reached: readonly Reached[]): string {
  let key = '';
  for (const { decision, endpoints } of reached) {
    key += `${channelNames.indexOf(decision.channel)}${decision.on ? (endpoints ? '+' : '?') : '-'}${decision.reason} `;
  }
  let words = keptWords.get(key);
  if (words === undefined) {
    words = reached.map(wordsOf).join(', ');
    keptWords.set(key, words);
  }
  return words;
}

/** Bounded by the orders and states of four channels. */
const keptWords = new Map<string, string>();

function wordsOf({ decision, endpoints }: Reached): string {
  const state = decision.on ? (endpoints ? 'on' : 'no endpoint') : 'off';
  return state === 'no endpoint'
    ? `${decision.channel} ${state}`
    : `${decision.channel} ${state} (${why[decision.reason]})`;
}
