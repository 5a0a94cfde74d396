// The rows of the decision trace that the handler writes: one about each event as a whole, one per person about what was
// decided and why, and one per planned delivery.
import { type ChannelName, channelNames } from '../deliveries/channel.ts';
import { PLANNED, type TraceRow } from '../deliveries/trace.ts';
import type { Decision, Reason } from '../people/preferences.ts';
import type { Endpoint } from './endpoints.ts';
import type { Matched, Refused } from './match.ts';

/** A channel of a notification, as decided for one person. */
export type Reached = {
  readonly decision: Decision;
  /** Undefined: the channel is off, or there is no way to reach the person over it. */
  readonly endpoints: readonly Endpoint[] | undefined;
  /** Why there is no way, where the channel is on. */
  readonly unreachable: string | undefined;
  /** The end of the person's quiet hours, where the deliveries wait for it. */
  readonly heldUntil: Date | undefined;
};

/** About one person and one event. */
export type PersonRow = ReturnType<typeof rowAbout>;

const MAX_DETAIL = 2_000;
const MAX_KEPT = 1_000;

const why: Record<Reason, string> = {
  mandatory: 'mandatory',
  locked: 'set by the organisation',
  condition: "the person's condition does not match",
  muted: 'muted for this category',
  category: 'chosen for this category',
  flag: 'switched off for this channel',
  organisation: "the organisation's default",
  default: 'default',
};

/** What was matched; an event is found by its id through this row. */
export function rowOfEvent(matched: Matched, now: Date): TraceRow {
  const { wishes, faults } = matched;
  const names = wishes.map(({ definition }) => definition.name);
  const detail = [...(names.length > 0 ? [names.join(', ')] : []), ...faults].join('; ');
  const outcome = wishes.length > 0 ? 'matched' : 'none';
  return rowAsAWhole(matched, names.length === 1 ? names[0]! : null, ['match', outcome, detail || null], now);
}

/** A row about an event that is not about one person. */
export function rowAsAWhole(
  { message, event }: Matched,
  notification: string | null,
  [step, outcome, detail]: readonly [step: string, outcome: string, detail: string | null],
  at: Date,
): TraceRow {
  const { topic, partition, sequence } = message;
  const place = { topic, partition, sequence, eventId: event.id, at };
  return { ...place, notification, recipientId: null, noticeId: null, step, outcome, detail };
}

/** An event that was dead-lettered. It may be refused for what PostgreSQL's text cannot hold: that is left out here. */
export function rowOfRefused({ message, eventId, reason, description, notification }: Refused, at: Date): TraceRow {
  const { topic, partition, sequence } = message;
  const place = { topic, partition, sequence, eventId: storable(eventId), at };
  const about = { notification: notification ?? null, recipientId: null, noticeId: null };
  return { ...place, ...about, step: 'match', outcome: 'refused', detail: storable(`${reason}: ${description}`) };
}

/** What every row about one person and one event has. */
export function rowAbout({ message, event }: Matched, notification: string, recipientId: string, at: Date) {
  const { topic, partition, sequence } = message;
  return { topic, partition, sequence, eventId: event.id, notification, recipientId, noticeId: null, at };
}

/** The rows of a new notice: what was decided, and what was planned. */
export function rowsOfNotice(row: PersonRow, noticeId: string, reached: readonly Reached[]): TraceRow[] {
  const base = { ...row, noticeId };
  const rows: TraceRow[] = [{ ...base, step: 'decide', outcome: 'notice', detail: inWords(reached) }];
  for (const { decision, endpoints = [], heldUntil } of reached) {
    if (endpoints.length === 0) continue;
    const detail = detailOfPlan(endpoints.length, heldUntil);
    rows.push({ ...base, channel: decision.channel, step: 'plan', outcome: PLANNED, detail });
  }
  return rows;
}

function detailOfPlan(endpoints: number, heldUntil: Date | undefined): string | null {
  const details = [
    ...(endpoints > 1 ? [`${endpoints} endpoints`] : []),
    ...(heldUntil ? [`quiet hours until ${heldUntil.toISOString()}`] : []),
  ];
  return details.length > 0 ? details.join(', ') : null;
}

/** Why a person gets nothing. */
export function rowOfSilence(row: PersonRow, reached: readonly Reached[]): TraceRow {
  return { ...row, step: 'decide', outcome: 'silent', detail: inWords(reached) };
}

/** The content failed for one person of a walk. */
export function rowOfFailure(row: PersonRow, words: string): TraceRow {
  return { ...row, step: 'decide', outcome: 'refused', detail: storable(`The content failed: ${words}`) };
}

function storable(text: string): string {
  return text.slice(0, MAX_DETAIL).replaceAll('\0', '').toWellFormed();
}

/** The same few decisions come back for most people, so their texts are kept. */
const kept = new Map<string, string>();

/** `inbox on (default), email no endpoint` */
function inWords(reached: readonly Reached[]): string {
  let key = '';
  for (const { decision, unreachable } of reached) {
    key += `${numberOf(decision.channel)}${decision.on ? '+' : '-'}${decision.reason}${unreachable ?? ''} `;
  }
  let words = kept.get(key);
  if (words === undefined) {
    words = reached.map(wordsOf).join(', ');
    if (kept.size >= MAX_KEPT) kept.clear();
    kept.set(key, words);
  }
  return words;
}

function numberOf(channel: ChannelName): number {
  return channelNames.indexOf(channel);
}

function wordsOf({ decision, unreachable }: Reached): string {
  const { channel, on, reason } = decision;
  return unreachable === undefined ? `${channel} ${on ? 'on' : 'off'} (${why[reason]})` : `${channel} ${unreachable}`;
}
