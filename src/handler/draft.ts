// Second step of the handler, pure: for each person that an event concerns, what they wanted, what they are told, over
// which channels, and the rows of the decision trace that say so.

import { readCard } from '../assistant/cards/card.ts';
import type { Ask } from '../assistant/decisions/question.ts';
import type { Replacement } from '../assistant/decisions/withdraw.ts';
import type { PlannedDelivery } from '../deliveries/plan.ts';
import type { TraceRow } from '../deliveries/trace.ts';
import type { NewNotice } from '../inbox/append.ts';
import type { Notice } from '../inbox/notice.ts';
import { type Card, cardJson } from '../kit/card.ts';
import { derivedId } from '../kit/ids.ts';
import type { Person } from '../people/preference-records.ts';
import { type Decision, decideChannels, heldUntil } from '../people/preferences.ts';
import { askOf, replacementOf, termsOf } from './ask.ts';
import { endpointsOf, type FoundEndpoints } from './endpoints.ts';
import { attempt, Failure, type Matched, type Refused, refused } from './match.ts';
import type { Category, Defined } from './notification.ts';
import { type Reached, rowAbout, rowOfEvent, rowOfSilence, rowsOfNotice } from './trace-rows.ts';

/** A notice that is to be written, with what follows from it if it is new. */
export type Draft = NewNotice & {
  readonly plans: readonly PlannedDelivery[];
  readonly trace: readonly TraceRow[];
  /** The question, where the card has actions. */
  readonly ask: Ask | undefined;
};

/** What comes of one event. */
export type Drafted = {
  readonly kind: 'drafted';
  readonly matched: Matched;
  readonly drafts: readonly Draft[];
  /** Earlier questions that the event takes the place of. */
  readonly replaces: readonly Replacement[];
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

/** Drafts the notices of one event for the listed people; a definition that throws refuses the event as a whole. */
export function draftEvent(matched: Matched, known: Known): Drafted | Refused {
  const drafts: Draft[] = [];
  const trace: TraceRow[] = [rowOfEvent(matched, known.now)];
  const replaces: Replacement[] = [];
  for (const wish of matched.wishes) {
    const replacement = attempt(() => replacementOf(matched, wish.definition));
    if (replacement instanceof Failure) return refused(matched, wish.definition.name, 'key', replacement);
    if (replacement) replaces.push(replacement);
    if (wish.audience.kind !== 'list') continue;
    for (const id of wish.audience.ids) {
      const draft = draftNotice(matched, wish.definition, known.people.get(id)!, known);
      if (draft instanceof Failure) return refused(matched, wish.definition.name, 'content', draft);
      if ('notice' in draft) drafts.push(draft);
      else trace.push(draft);
    }
  }
  return { kind: 'drafted', matched, drafts, replaces, trace };
}

/** A draft, or the trace row that says why this person gets nothing. */
export function draftNotice(
  matched: Matched,
  definition: Defined,
  person: Person,
  known: Known,
): Draft | TraceRow | Failure {
  const policy = known.categories.get(definition.category);
  const decisions = decideChannels(definition, person.settings, policy, matched.lookup, known.now);
  const reached = decisions.map((decision) => reach(decision, definition, person, known));
  const row = rowAbout(matched, definition.name, person.id, known.now);
  if (reached.every(({ endpoints }) => endpoints === undefined)) return rowOfSilence(row, reached);
  // The size of the card is checked here as well, where a fault is still about this event alone.
  const card = attempt(() => {
    const parsed = readCard(definition.content(matched.event, person), definition.cardPolicy);
    return { parsed, json: cardJson(parsed), terms: termsOf(definition, matched.event, parsed) };
  });
  if (card instanceof Failure) return card;
  const notice = noticeOf(matched, definition, person.id, card.parsed, known.now);
  const toInbox = reached.some(({ decision, endpoints }) => decision.channel === 'inbox' && endpoints !== undefined);
  const trace = rowsOfNotice(row, notice.id, reached);
  const ask = card.terms && askOf(matched, notice, card.terms);
  return { notice, card: card.json, toInbox, plans: plansOf(notice, reached), trace, ask };
}

const nowhere = { endpoints: undefined, unreachable: undefined, heldUntil: undefined };

function reach(decision: Decision, { urgency }: Defined, person: Person, known: Known): Reached {
  if (!decision.on) return { decision, ...nowhere };
  if (decision.channel === 'inbox') return { decision, ...nowhere, endpoints: [] };
  const endpoints = endpointsOf(known.endpoints, decision.channel, person.id);
  if ('unreachable' in endpoints) return { decision, ...nowhere, unreachable: endpoints.unreachable };
  const until = heldUntil(decision, urgency, person.settings, person.timeZone, known.now);
  return { decision, endpoints, unreachable: undefined, heldUntil: until };
}

function noticeOf(
  { message, event }: Matched,
  definition: Defined,
  recipientId: string,
  card: Card,
  now: Date,
): Notice {
  const { topic, partition, sequence } = message;
  return {
    id: derivedId('ntc', topic, partition, sequence, definition.name, recipientId),
    recipientId,
    topic,
    partition,
    sequence,
    eventId: event.id,
    notification: definition.name,
    category: definition.category,
    urgency: definition.urgency,
    card,
    createdAt: now,
  };
}

function plansOf(notice: Notice, reached: readonly Reached[]): PlannedDelivery[] {
  const { id: noticeId, recipientId, urgency, createdAt } = notice;
  const plans: PlannedDelivery[] = [];
  for (const { decision, endpoints = [], heldUntil: dueAt = createdAt } of reached) {
    const { channel } = decision;
    for (const endpoint of endpoints) plans.push({ noticeId, recipientId, channel, endpoint, urgency, dueAt });
  }
  return plans;
}
