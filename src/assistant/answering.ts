// An answer to a card, from whichever conversation it came: counted once, and told in words that the person understands.
import { findNotices, type Notice } from '../inbox/notice.ts';
import type { Database } from '../kit/database.ts';
import { Refusal } from '../kit/refusal.ts';
import type { ReadAnswer } from './cards/answer-data.ts';
import type { Decision } from './cards/decision.ts';
import type { Decisions } from './decisions/decisions.ts';
import { decisionsOf } from './decisions/question.ts';
import type { Surface } from './references/reference.ts';

export type AnswerDeps = { readonly database: Database; readonly decisions: Pick<Decisions, 'decide'> };

export type GivenAnswer = {
  readonly read: ReadAnswer;
  /** As the service vouched for them. */
  readonly actorId: string;
  readonly surface: Surface;
  /** The same press, told twice. */
  readonly key: string;
};

/** `notice` and `decision` are what the card has to show now; without a notice of theirs there is nothing to show. */
export type Taken = {
  readonly counted: boolean;
  /** Why it did not count. */
  readonly refusal?: Refusal;
  readonly notice?: Notice;
  readonly decision?: Decision | undefined;
};

/** Never refuses: whoever pressed a button is told what became of it. */
export async function takeAnswer(deps: AnswerDeps, given: GivenAnswer): Promise<Taken> {
  const { read, actorId, surface, key: idempotencyKey } = given;
  const { noticeId, actionId, inputs, version } = read;
  try {
    const answer = { noticeId, actionId, inputs, version, actorId, surface, idempotencyKey };
    const { notice, decision } = await deps.decisions.decide(answer);
    return { counted: true, notice, decision };
  } catch (refusal) {
    if (!(refusal instanceof Refusal)) throw refusal;
    const [notices, decisions] = await Promise.all([
      findNotices(deps.database, [{ recipientId: actorId, noticeId }]),
      decisionsOf(deps.database, [noticeId]),
    ]);
    const notice = notices.get(noticeId);
    return { counted: false, refusal, ...(notice && { notice, decision: decisions.get(noticeId) }) };
  }
}
