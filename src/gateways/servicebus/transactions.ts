// Local transactions (AMQP 1.0, part 4) of one connection. What a client sends and settles under a transaction is kept
// aside until it is discharged; then all of it becomes one transaction of the database, whatever entities it is about: it
// happens as a whole or not at all. (topics/log/transact.ts tells what holds when another node owns what was received.)
import { randomBytes } from 'node:crypto';
import { Refusal } from '../../kit/refusal.ts';
import type { Broker } from '../../topics/broker.ts';
import type { OutgoingMessage } from '../../topics/message.ts';
import type { Receiver } from '../../topics/receive/receiver.ts';
import type { Settlement } from '../../topics/receive/settle.ts';
import { AmqpDescribed, type AmqpValue } from './amqp/decode.ts';
import { echoAttach, type LinkContext, type WireLink } from './amqp/link.ts';
import { hook } from './amqp/mend.ts';
import { AMQP_VALUE, decodeSection, splitSections } from './amqp/sections.ts';
import type { Tell } from './errors.ts';
import { accepted, boxed, declared, rejected } from './outcomes.ts';

const COORDINATOR = 0x30;
const DECLARE = 0x31;
const DISCHARGE = 0x32;
const CREDIT = 100;
const MAX_REQUEST_BYTES = 64 * 1024;
const LASTS_MS = 2 * 60_000;
const MAX_STEPS = 100;
const MAX_OPEN = 100;

type Settled = {
  readonly receiver: Receiver;
  readonly tokens: readonly string[];
  readonly how: Settlement;
};

type Transaction = {
  readonly id: Buffer;
  readonly published: { readonly topic: string; readonly messages: readonly OutgoingMessage[] }[];
  readonly settled: Settled[];
  readonly timer: NodeJS.Timeout;
};

/** Whether a target asks for the transaction coordinator: rhea leaves it as it came. */
export function isCoordinator(target: unknown): boolean {
  const descriptor = (target as { descriptor?: { value: unknown } } | null)?.descriptor?.value;
  return descriptor === COORDINATOR || descriptor === 'amqp:coordinator:list';
}

/** Opens the control link. Its transactions end with it. */
export function serveCoordinator(link: WireLink, transactions: Transactions, tell: Tell): void {
  echoAttach(link);
  hook(link, { maxMessageSize: MAX_REQUEST_BYTES });
  const mine = new Set<string>();
  link.on('message', (context) => void control(context, transactions, mine, tell));
  link.on('receiver_close', () => {
    for (const id of mine) transactions.rollBack(id);
  });
  link.flow(CREDIT);
}

async function control(
  { message, delivery, receiver }: LinkContext,
  transactions: Transactions,
  mine: Set<string>,
  tell: Tell,
): Promise<void> {
  receiver.flow(1);
  try {
    const body = decodeSection(splitSections(message), AMQP_VALUE);
    const { code, fields } = described(body);
    if (code === DECLARE) {
      const id = transactions.declare();
      mine.add(id.toString('hex'));
      return delivery.update(true, boxed(declared(id)));
    }
    if (code !== DISCHARGE || !Buffer.isBuffer(fields[0]))
      throw new Refusal('method_not_allowed', 'A coordinator takes declare and discharge.');
    mine.delete(fields[0].toString('hex'));
    await transactions.discharge(fields[0], fields[1] === true);
    delivery.update(true, boxed(accepted()));
  } catch (error) {
    delivery.update(true, boxed(rejected(tell(error))));
  }
}

function described(body: AmqpValue): { code: number; fields: readonly AmqpValue[] } {
  if (!(body instanceof AmqpDescribed)) return { code: 0, fields: [] };
  const names: Record<string, number> = { 'amqp:declare:list': DECLARE, 'amqp:discharge:list': DISCHARGE };
  const code = typeof body.descriptor === 'number' ? body.descriptor : (names[String(body.descriptor)] ?? 0);
  return { code, fields: Array.isArray(body.value) ? body.value : [] };
}

export class Transactions {
  readonly #broker: Broker;
  readonly #open = new Map<string, Transaction>();

  constructor({ broker }: { readonly broker: Broker }) {
    this.#broker = broker;
  }

  declare(): Buffer {
    if (this.#open.size >= MAX_OPEN) throw new Refusal('quota_exceeded', 'Too many transactions are open.');
    const id = randomBytes(16);
    const timer = setTimeout(() => this.rollBack(id.toString('hex')), LASTS_MS).unref();
    this.#open.set(id.toString('hex'), { id, published: [], settled: [], timer });
    return id;
  }

  publish(id: Buffer, topic: string, messages: readonly OutgoingMessage[]): void {
    this.#enlist(id).published.push({ topic, messages });
  }

  /** Notes the settlement. That the locks still hold is checked at the discharge. */
  settle(id: Buffer, settled: Settled): boolean[] {
    this.#enlist(id).settled.push(settled);
    return settled.tokens.map(() => true);
  }

  #enlist(id: Buffer): Transaction {
    const transaction = this.#open.get(id.toString('hex'));
    if (!transaction) throw unknownTransaction();
    if (transaction.published.length + transaction.settled.length >= MAX_STEPS)
      throw new Refusal('quota_exceeded', `A transaction has at most ${MAX_STEPS} steps.`);
    return transaction;
  }

  async discharge(id: Buffer, fail: boolean): Promise<void> {
    const transaction = this.#open.get(id.toString('hex'));
    if (!transaction) throw unknownTransaction();
    this.rollBack(id.toString('hex'));
    if (fail) return;
    await this.#broker.transact(transaction.published, transaction.settled);
  }

  rollBack(id: string): void {
    clearTimeout(this.#open.get(id)?.timer);
    this.#open.delete(id);
  }

  rollBackAll(): void {
    for (const id of [...this.#open.keys()]) this.rollBack(id);
  }
}

function unknownTransaction(): Refusal {
  const condition = 'amqp:transaction:unknown-id';
  return new Refusal('not_found', 'The transaction is not declared, or it ended.', { condition });
}
