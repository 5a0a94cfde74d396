// Takes one answer. It counts once: the question moves by compare-and-set, in one transaction with the work that follows
// from it, the trace and the record of the answer. Who answers was verified by the channel; what a card says about its
// reader is not looked at. An answer that does not count is recorded as well, and refused.
import { type TraceRow, writeTrace } from '../../deliveries/trace.ts';
import { findNotices, type Notice } from '../../inbox/notice.ts';
import type { CardAction } from '../../kit/card.ts';
import { type Database, statement, type Tx } from '../../kit/database.ts';
import { Refusal } from '../../kit/refusal.ts';
import { findRecipients } from '../../people/recipients.ts';
import { cardVersion } from '../cards/answer-data.ts';
import type { Decision } from '../cards/decision.ts';
import { acceptInputs } from './inputs.ts';
import { decisionOf, QUESTION_COLUMNS, type QuestionRow } from './question.ts';
import { follow } from './work.ts';

export type Answer = {
  /** The notice whose card was answered; of any of the people who were asked. */
  readonly noticeId: string;
  /** The recipient who answers, as the channel verified it. */
  readonly actorId: string;
  readonly actionId: string;
  readonly inputs?: Readonly<Record<string, unknown>> | undefined;
  /** Where it was given: `inbox`, `directline`, `teams`, `slack`, `email`. */
  readonly surface: string;
  /** The same key with the same answer says the same again instead of refusing it. At most 200 characters. */
  readonly idempotencyKey?: string | undefined;
  /** The version of the card that was on the screen. */
  readonly version?: string | undefined;
  /** Which key or sign-in carried it, for the record. */
  readonly via?: string | undefined;
};

export type Decided = {
  readonly questionId: string;
  /** The actor's own notice. */
  readonly notice: Notice;
  readonly decision: Decision;
  /** False: a repetition of the answer that had decided it. */
  readonly fresh: boolean;
};

type Found = QuestionRow & { own_notice: string | null };
type Verdict = { readonly decided: Decided } | { readonly refusal: Refusal };

const FIND = statement(
  'decisions.find',
  `select mine.notice_id as own_notice, ${QUESTION_COLUMNS}
   from asked a join question q on q.id = a.question_id
     left join asked mine on mine.question_id = a.question_id and mine.recipient_id = $2
   where a.notice_id = $1`,
);

const DECIDE = statement(
  'decisions.decide',
  `update question as q set state = 'decided', settled_at = $2, decided_by = $3, notice_id = $4, action_id = $5, label = $6,
     reason = $7, inputs = $8, surface = $9, attempt_key = $10
   where id = $1 and state = 'open' and (expires_at is null or expires_at > $2)
   returning ${QUESTION_COLUMNS}`,
);

const AGAIN = statement('decisions.again', `select ${QUESTION_COLUMNS} from question q where q.id = $1`);

const FRESH = statement(
  'decisions.fresh',
  `select a.notice_id from question q join asked a on a.question_id = q.id and a.recipient_id = $3
   where q.state = 'open' and q.topic = $1 and q.key = $2 order by q.created_at desc limit 1`,
);

const RECORD = statement(
  'decisions.record',
  `insert into answer (at, question_id, notice_id, actor_id, action_id, surface, via, outcome, reason)
   values ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
);

/**
 * Decides the question of a card. Refuses with `not_found`, `not_allowed`, `action_not_found`, `reason_required`,
 * `inputs_invalid`, `stale`, `already_decided` (who and when in its details), `expired`, `withdrawn`. Call what follows
 * from it after the commit: {@link Decisions} does.
 */
export async function decideOnce(database: Database, answer: Answer, now: Date): Promise<Decided> {
  const verdict = await database.transaction(async (tx) => {
    const [found] = await tx.query<Found>(FIND, [answer.noticeId, answer.actorId]);
    if (!found)
      return { refusal: new Refusal('not_found', `There is no card ${answer.noticeId} that asks something.`) };
    const verdict = await judge(tx, found, answer, now);
    await record(
      tx,
      found,
      answer,
      'refusal' in verdict ? verdict.refusal.code : verdict.decided.fresh ? 'decided' : 'again',
      now,
    );
    return verdict;
  });
  if ('refusal' in verdict) throw verdict.refusal;
  return verdict.decided;
}

async function judge(tx: Tx, found: Found, answer: Answer, now: Date): Promise<Verdict> {
  const notice = found.own_notice === null ? undefined : await ownNotice(tx, answer.actorId, found.own_notice);
  if (!notice) return { refusal: new Refusal('not_allowed', 'Only the people who were asked can answer this card.') };
  if (found.state !== 'open') return settledBefore(tx, found, notice, answer, now);
  if (notice.recalledAt)
    return { refusal: new Refusal('withdrawn', 'The notice was withdrawn; nothing is asked of you any more.') };
  try {
    const { action, reason, inputs } = check(found, notice, answer);
    const [row] = await tx.query<QuestionRow>(DECIDE, [
      found.id,
      now,
      answer.actorId,
      notice.id,
      action.id,
      action.label,
      reason ?? null,
      inputs && JSON.stringify(inputs),
      answer.surface,
      answer.idempotencyKey ?? null,
    ]);
    // Somebody else was first, in between, or its time is over.
    if (!row) return settledBefore(tx, (await tx.query<QuestionRow>(AGAIN, [found.id]))[0]!, notice, answer, now);
    const [name] = await Promise.all([
      nameOf(tx, answer.actorId),
      follow(tx, [row], now),
      writeTrace(tx, [traceOf(row, notice, action, now)]),
    ]);
    return { decided: { questionId: row.id, notice, decision: decisionOf(row, name, now), fresh: true } };
  } catch (error) {
    if (error instanceof Refusal) return { refusal: error };
    throw error;
  }
}

/** What must hold before anything is written. */
function check(found: Found, notice: Notice, answer: Answer) {
  if (found.requester !== null && found.requester === answer.actorId) {
    throw new Refusal('not_allowed', 'Whoever asks for something cannot decide it: somebody else must.');
  }
  const action = notice.card.actions?.find(({ id }) => id === answer.actionId);
  if (!action) throw new Refusal('action_not_found', `The card has no action ${answer.actionId}.`);
  if (answer.version !== undefined && answer.version !== cardVersion(notice.card)) {
    throw new Refusal('stale', 'The card has changed since it was shown; look at it again.', { card: notice.card });
  }
  return { action, ...acceptInputs(notice.card, action, answer.inputs ?? {}) };
}

async function settledBefore(tx: Tx, row: QuestionRow, notice: Notice, answer: Answer, now: Date): Promise<Verdict> {
  const decision = decisionOf(row, row.decided_by === null ? undefined : await nameOf(tx, row.decided_by), now);
  if (isRepetition(row, answer)) return { decided: { questionId: row.id, notice, decision, fresh: false } };
  const fresh = row.state === 'withdrawn' ? await freshNotice(tx, row, answer.actorId) : undefined;
  return { refusal: fresh ? staleOf(fresh) : refusalOf(decision, notice) };
}

/** The notice by which this person is asked now about what the withdrawn question was about. */
async function freshNotice(tx: Tx, { topic, key }: QuestionRow, actorId: string): Promise<Notice | undefined> {
  if (key === null) return undefined;
  const [found] = await tx.query<{ notice_id: string }>(FRESH, [topic, key, actorId]);
  return found && ownNotice(tx, actorId, found.notice_id);
}

function staleOf({ id, card }: Notice): Refusal {
  return new Refusal('stale', 'What this card asks about has changed since; answer the new card.', {
    noticeId: id,
    card,
  });
}

function isRepetition(row: QuestionRow, answer: Answer): boolean {
  const { actorId, actionId, idempotencyKey } = answer;
  return (
    idempotencyKey !== undefined &&
    row.attempt_key === idempotencyKey &&
    row.decided_by === actorId &&
    row.action_id === actionId
  );
}

/** Says with everything a page needs why an answer comes too late. */
export function refusalOf(decision: Decision, { card }: Notice): Refusal {
  const { state, by, label, at, ...rest } = decision;
  const details = { decision: { state, by, label, at: at?.toISOString(), ...rest }, by, at: at?.toISOString(), card };
  if (state === 'expired')
    return new Refusal('expired', `The time for an answer was over on ${at?.toISOString()}.`, details);
  if (state === 'withdrawn') return new Refusal('withdrawn', 'The answer is no longer asked for.', details);
  const words = `${by?.name ?? by?.id} has decided this before: “${label}”, on ${at?.toISOString()}.`;
  return new Refusal('already_decided', words, details);
}

async function ownNotice(tx: Tx, recipientId: string, noticeId: string): Promise<Notice | undefined> {
  return (await findNotices(tx, [{ recipientId, noticeId }])).get(noticeId);
}

async function nameOf(tx: Tx, recipientId: string): Promise<string | undefined> {
  return (await findRecipients(tx, [recipientId])).get(recipientId)?.displayName;
}

function traceOf(row: QuestionRow, notice: Notice, action: CardAction, at: Date): TraceRow {
  const { topic, partition, sequence, eventId, notification } = notice;
  const about = {
    topic,
    partition,
    sequence,
    eventId,
    notification,
    recipientId: notice.recipientId,
    noticeId: notice.id,
  };
  return { ...about, step: 'answer', outcome: 'decided', detail: `${action.id} over ${row.surface}`, at };
}

async function record(tx: Tx, found: Found, answer: Answer, outcome: string, now: Date): Promise<void> {
  const { noticeId, actorId, actionId, surface, via } = answer;
  const values = [now, found.id, noticeId, actorId, actionId.slice(0, 64), surface, via ?? null, outcome];
  await tx.query(RECORD, [...values, outcome === 'decided' ? reasonOf(answer) : null]);
}

function reasonOf({ inputs }: Answer): string | null {
  return typeof inputs?.reason === 'string' ? inputs.reason.slice(0, 2_000) : null;
}
