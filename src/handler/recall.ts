// Takes back what an event has told, or corrects it: in the inboxes, and on every card that stands in a conversation. What
// has not gone out yet is cancelled; a mail or a push that went out cannot be caught. Whom the event told says the decision
// trace. A chunk of notices per transaction: after a crash, the same call does the rest.
import { readCard } from '../assistant/cards/card.ts';
import type { CardPolicy } from '../assistant/cards/policy.ts';
import { withdrawRecalled } from '../assistant/decisions/withdraw.ts';
import { type NoticeOf, requestEdits } from '../assistant/posted.ts';
import { cancelDeliveries } from '../deliveries/cancel.ts';
import { findEvent } from '../deliveries/read-trace.ts';
import { writeTrace } from '../deliveries/trace.ts';
import { type Changed, recallInInboxes, rewriteInInboxes, tellChanged } from '../inbox/change.ts';
import { findNotices, type Notice } from '../inbox/notice.ts';
import type { InboxStream } from '../inbox/stream.ts';
import { type Card, cardJson } from '../kit/card.ts';
import { type Database, type Sql, statement, type Tx } from '../kit/database.ts';
import { Refusal } from '../kit/refusal.ts';

export type RecallDeps = {
  readonly database: Database;
  readonly inbox: Pick<InboxStream, 'marked'>;
  /** Cards are due to be edited. */
  readonly edit: () => void;
  /** Questions were withdrawn. */
  readonly settled: () => void;
};

/** Which notices: those of an event. */
export type Told = {
  readonly topic: string;
  /** The id of the event; or its place in the topic. */
  readonly event: string | { readonly sequence: number; readonly partition: number };
  /** Only those of this notification. */
  readonly notification?: string | undefined;
  /** Only those of these people. */
  readonly recipients?: readonly string[] | undefined;
};

/** `by` is who did it, for the trace: `key finance`. */
export type Recall = { readonly reason?: string | undefined; readonly by: string };
export type Correction = { readonly card: unknown; readonly policy?: CardPolicy | undefined; readonly by: string };

export type Recalled = {
  readonly notices: number;
  /** Deliveries that had not gone out yet. */
  readonly cancelled: number;
  /** Questions that nobody is asked any more. */
  readonly questions: number;
};

type Place = { readonly topic: string; readonly partition: number; readonly sequence: number };

const CHUNK = 500;

const TELLS = statement(
  'handler.notices-of-event',
  `select recipient_id as "recipientId", notice_id as "noticeId" from trace
   where topic = $1 and partition = $2 and sequence = $3 and step = 'decide' and outcome = 'notice'
     and ($4::text is null or notification = $4) and ($5::text[] is null or recipient_id = any($5))
     and (recipient_id, notice_id) > ($6, $7)
   order by recipient_id, notice_id limit $8`,
);

// Waits for the chunk that is under way: its notices are there to be found then.
const STOP_WALKS = statement(
  'handler.stop-walks',
  `delete from audience_walk where topic = $1 and partition = $2 and sequence = $3
     and ($4::text is null or notification = $4) returning id`,
);

/**
 * Takes the notices of an event back; those that were taken back before are passed over. With `recipients` left out, a walk
 * through an audience that is under way stops. Throws `not_found` when the event has told nobody.
 */
export async function recallNotices(deps: RecallDeps, told: Told, { reason, by }: Recall): Promise<Recalled> {
  const place = await placeOf(deps.database, told);
  if (!told.recipients) await deps.database.query(STOP_WALKS, [...values(place), told.notification ?? null]);
  const sum = { notices: 0, cancelled: 0, questions: 0 };
  const found = await throughAll(deps.database, place, told, async (keys) => {
    const now = new Date();
    const done = await deps.database.transaction(async (tx) => {
      const changed = await recallInInboxes(tx, keys, reason, now);
      const ids = changed.notices.map(({ noticeId }) => noticeId);
      const cancelled = await cancelDeliveries(tx, ids, now);
      const questions = await withdrawRecalled(tx, ids, now);
      await follow(tx, changed, { outcome: 'recalled', detail: inWords(reason, by), now });
      return { changed, cancelled, questions };
    });
    sum.notices += done.changed.notices.length;
    sum.cancelled += done.cancelled;
    sum.questions += done.questions;
    await tell(deps, done.changed);
    if (done.questions > 0) deps.settled();
  });
  if (found === 0) throw toldNobody(told);
  return sum;
}

/**
 * Gives the notices of an event another card, everywhere; the question of a card stays as it is, with its buttons. Returns
 * how many notices show it. Throws `card_invalid`, `conflict` when the card would change what is asked, `not_found`.
 */
export async function correctNotices(deps: RecallDeps, told: Told, { card, policy, by }: Correction): Promise<number> {
  const parsed = readCard(card, policy);
  const place = await placeOf(deps.database, told);
  let corrected = 0;
  const found = await throughAll(deps.database, place, told, async (keys) => {
    const now = new Date();
    const changed = await deps.database.transaction(async (tx) => {
      const notices = await findNotices(tx, keys);
      const cards = [...notices.values()]
        .filter(({ recalledAt }) => !recalledAt)
        .map((each) => rewritten(each, parsed));
      const changed = await rewriteInInboxes(tx, cards, now);
      await follow(tx, changed, { outcome: 'corrected', detail: by, now });
      return changed;
    });
    corrected += changed.notices.length;
    await tell(deps, changed);
  });
  if (found === 0) throw toldNobody(told);
  return corrected;
}

function rewritten({ id: noticeId, recipientId, card: { actions } }: Notice, card: Card) {
  if (!actions?.length && !card.actions?.length) return { recipientId, noticeId, card: cardJson(card) };
  if (card.actions?.length || card.adaptiveCard)
    throw new Refusal(
      'conflict',
      'What a card asks cannot be changed: leave actions and adaptiveCard out, or withdraw the notice and ask anew.',
    );
  return { recipientId, noticeId, card: cardJson({ ...card, actions: actions! }) };
}

/** In the transaction: the cards that stand somewhere are due to be edited, and the trace says who did it. */
async function follow(
  tx: Tx,
  { notices }: Changed,
  { outcome, detail, now }: { readonly outcome: string; readonly detail: string; readonly now: Date },
): Promise<void> {
  const written = await findNotices(tx, notices);
  const rows = [...written.values()].map(({ id: noticeId, topic, partition, sequence, eventId, ...notice }) => {
    const { notification, recipientId } = notice;
    const about = { topic, partition, sequence, eventId, notification, recipientId, noticeId };
    return { ...about, step: 'recall', outcome, detail, at: now };
  });
  await Promise.all([writeTrace(tx, rows), requestEdits(tx, notices, now)]);
}

async function tell({ database, inbox, edit }: RecallDeps, changed: Changed): Promise<void> {
  tellChanged(inbox, changed);
  // Once more: a card that was being posted during the transaction was not there to be found in it.
  await requestEdits(database, changed.notices);
  edit();
}

/** Hands on the notices of the event, a chunk at a time; returns how many there are. */
async function throughAll(
  sql: Sql,
  place: Place,
  { notification, recipients }: Told,
  work: (keys: readonly NoticeOf[]) => Promise<void>,
): Promise<number> {
  let found = 0;
  for (let after = ['', '']; ; ) {
    const given = [...values(place), notification ?? null, recipients ?? null, ...after, CHUNK];
    const keys = await sql.query<NoticeOf>(TELLS, given);
    if (keys.length > 0) await work(keys);
    found += keys.length;
    if (keys.length < CHUNK) return found;
    const { recipientId, noticeId } = keys.at(-1)!;
    after = [recipientId, noticeId];
  }
}

async function placeOf(sql: Sql, told: Told): Promise<Place> {
  const { topic, event } = told;
  const place = typeof event === 'string' ? await findEvent(sql, topic, event) : { topic, ...event };
  if (!place) throw toldNobody(told);
  return place;
}

function values({ topic, partition, sequence }: Place): [string, number, number] {
  return [topic, partition, sequence];
}

function toldNobody({ topic, event }: Told): Refusal {
  const name = typeof event === 'string' ? event : `number ${event.sequence}`;
  return new Refusal(
    'not_found',
    `No notices of the event ${name} of the topic ${topic} are known: it told nobody, is not handled yet, or is so old that its trace is gone.`,
  );
}

function inWords(reason: string | undefined, by: string): string {
  return reason === undefined ? by : `${by}: ${reason}`;
}
