// Dispositions of one link, gathered per turn of the event loop: those that say the same are settled together, in one
// call and one commit, and every delivery gets its answer, known or not, because clients wait a minute for one.
import { Refusal } from '../../kit/refusal.ts';
import type { Receiver } from '../../topics/receive/receiver.ts';
import type { Settlement } from '../../topics/receive/settle.ts';
import { forgetDelivery } from './amqp/mend.ts';
import { type Delivery, type Typed, unbox } from './amqp/rhea-internals.ts';
import { readVerdict, type Verdict } from './disposition.ts';
import type { Tell } from './errors.ts';
import { lockTokenOf } from './lock-token.ts';
import * as outcomes from './outcomes.ts';
import type { Transactions } from './transactions.ts';

type Said = { readonly delivery: WireDelivery; readonly settled: boolean; readonly verdict: Verdict };
type WireDelivery = Delivery & { update(settled: boolean, state?: unknown): void };

export class Settling {
  readonly #receiver: Receiver;
  readonly #transactions: Transactions;
  readonly #tell: Tell;
  #said: Said[] = [];

  constructor(receiver: Receiver, deps: { readonly transactions: Transactions; readonly tell: Tell }) {
    this.#receiver = receiver;
    this.#transactions = deps.transactions;
    this.#tell = deps.tell;
  }

  heard(delivery: Delivery, state: Typed | undefined, settled: boolean): void {
    const wire = delivery as WireDelivery;
    try {
      const verdict = isAccepted(state) ? COMPLETE : readVerdict(unbox(state));
      // The discharge may be the very next frame: what belongs to a transaction must be in it by then.
      if (verdict?.transaction) void this.#settle([{ delivery: wire, settled, verdict }], verdict.how);
      else if (verdict) this.#gather({ delivery: wire, settled, verdict });
      else if (settled) forgetDelivery(delivery);
    } catch (error) {
      answer(wire, this.#rejected(error));
    }
  }

  #gather(said: Said): void {
    if (this.#said.push(said) === 1) setImmediate(() => this.flush());
  }

  /** Settles what was said so far. Its locks are taken at once, so that the end of a session comes too late for them. */
  flush(): void {
    const all = this.#said;
    this.#said = [];
    const completed = all.filter(({ verdict }) => verdict === COMPLETE);
    if (completed.length > 0) void this.#settle(completed, COMPLETE.how);
    for (const said of all) if (said.verdict !== COMPLETE) void this.#settle([said], said.verdict.how);
  }

  async #settle(said: readonly Said[], how: Settlement): Promise<void> {
    const { transaction } = said[0]!.verdict;
    const tokens = said.map(({ delivery }) => lockTokenOf(delivery.tag));
    try {
      const held = transaction
        ? this.#transactions.settle(transaction, { receiver: this.#receiver, tokens, how })
        : await this.#receiver.trySettle(tokens, how);
      for (const [i, each] of said.entries()) this.#answer(each, held[i]!, transaction);
    } catch (error) {
      const told = this.#rejected(error);
      for (const { delivery, settled } of said)
        if (settled) forgetDelivery(delivery);
        else answer(delivery, told);
    }
  }

  #answer({ delivery, settled, verdict }: Said, held: boolean, transaction: Buffer | undefined): void {
    if (settled) forgetDelivery(delivery);
    else if (!held) answer(delivery, this.#rejected(this.#lost()));
    else answer(delivery, verdict === COMPLETE ? CONFIRMED : confirmed(verdict.code, transaction));
  }

  #rejected(error: unknown): Typed {
    return outcomes.boxed(outcomes.rejected(this.#tell(error)));
  }

  #lost(): Refusal {
    const { sessionId } = this.#receiver;
    if (sessionId !== undefined)
      return new Refusal(
        'session_lock_lost',
        `The session lock for '${sessionId}' is lost: it ran out or was released.`,
      );
    const words = 'The lock supplied is invalid. Either the lock expired, or the message has already been removed.';
    return new Refusal('lock_lost', words);
  }
}

const COMPLETE: Verdict = { code: outcomes.ACCEPTED, how: { kind: 'complete' }, transaction: undefined };

function isAccepted(state: Typed | undefined): boolean {
  return state?.descriptor?.value === outcomes.ACCEPTED;
}

const CONFIRMED = outcomes.boxed(outcomes.confirmation(outcomes.ACCEPTED));

function confirmed(code: number, transaction: Buffer | undefined): Typed {
  const outcome = outcomes.confirmation(code);
  return outcomes.boxed(transaction ? outcomes.inTransaction(transaction, outcome) : outcome);
}

function answer(delivery: WireDelivery, outcome: Typed): void {
  delivery.update(true, outcome);
  delivery.remote_settled = true;
  forgetDelivery(delivery);
}
