// A consumer of events: reads a partition of a topic's log from a place on. Nothing is locked or settled, and nothing of it
// is remembered here: clients keep their own places.
import { Refusal } from '../../../kit/refusal.ts';
import type { Broker } from '../../../topics/broker.ts';
import type { Message } from '../../../topics/message.ts';
import type { LogReader } from '../../../topics/receive/log-reader.ts';
import { disabled, type Entity, type HubPlace, isStopped } from '../address.ts';
import { AmqpSymbol, type AmqpValue } from '../amqp/decode.ts';
import type { SeenEnd } from '../amqp/event-front.ts';
import { desiredCapabilities, echoAttach, filtersOf, linkProperties, type WireLink } from '../amqp/link.ts';
import { toEvent } from '../amqp/outgoing.ts';
import type { Tell } from '../errors.ts';
import { closing, Outflow } from '../outflow.ts';
import type { Epochs } from './epochs.ts';
import { checkGroup, partitionNumber } from './place.ts';
import { positionOf } from './position.ts';

export type EventDeps = {
  readonly broker: Broker;
  readonly entity: () => Entity;
  readonly epochs: Epochs;
  readonly tell: Tell;
};

const METRIC = 'com.microsoft:enable-receiver-runtime-metric';
const EPOCH = 'com.microsoft:epoch';
/** What is told of the end of the partition is not older than this. */
const BELIEVE_MS = 1_000;

/** Opens the link, whose attach is held. Throws what it is refused with. */
export async function serveEvents(link: WireLink, { group, partition }: HubPlace, deps: EventDeps): Promise<void> {
  const { topic, path } = deps.entity();
  if (group === undefined || partition === undefined)
    throw new Refusal(
      'bad_request',
      `Nothing is received from '${path}'; receive from a partition of a consumer group.`,
    );
  checkGroup(topic, group);
  const part = partitionNumber(topic, partition);
  checkOpen(deps.entity());
  const from = positionOf(filtersOf(link));
  const closed = closing(link);
  const reader = await deps.broker.logReader(topic.name, part, from);
  closed.signal.addEventListener('abort', () => reader.close());
  if (closed.signal.aborted) return reader.close();
  const supply = new Events(link, reader, deps, () => endOf(deps.broker, topic.name, part));
  const outflow = new Outflow(link, supply, deps.tell, closed);
  try {
    const place = { topic: topic.id, part, group: group.toLowerCase() };
    const leave = await deps.epochs.enter(place, epochOf(linkProperties(link)), (reason) => outflow.fail(reason));
    if (closed.signal.aborted) return leave();
    closed.signal.addEventListener('abort', leave);
  } catch (error) {
    reader.close();
    throw error;
  }
  echoAttach(link);
  outflow.start();
}

function checkOpen(entity: Entity): void {
  if (isStopped(entity)) throw disabled(entity);
}

function epochOf(properties: ReadonlyMap<string, AmqpValue>): number | undefined {
  const epoch = properties.get(EPOCH);
  if (epoch === undefined || epoch === null) return undefined;
  if ((typeof epoch === 'bigint' || Number.isInteger(epoch)) && Number(epoch) >= 0)
    return Math.min(Number(epoch), Number.MAX_SAFE_INTEGER);
  const condition = 'com.microsoft:argument-error';
  throw new Refusal('bad_request', 'The epoch of a receiver is a whole number that is not negative.', { condition });
}

async function endOf(broker: Broker, topic: string, part: number): Promise<SeenEnd | undefined> {
  const seenAt = new Date();
  const { last } = await broker.partitionState(topic, part);
  return last && { sequence: last.sequence, enqueuedAt: last.enqueuedAt, seenAt };
}

/** What an outflow needs, over a reader of the log. */
class Events {
  readonly #link: WireLink;
  readonly #reader: LogReader;
  readonly #deps: EventDeps;
  readonly #look: (() => Promise<SeenEnd | undefined>) | undefined;
  #end: SeenEnd | undefined;
  #tags = 0;

  constructor(link: WireLink, reader: LogReader, deps: EventDeps, look: () => Promise<SeenEnd | undefined>) {
    this.#link = link;
    this.#reader = reader;
    this.#deps = deps;
    const wanted = desiredCapabilities(link).some((each) => each instanceof AmqpSymbol && each.text === METRIC);
    this.#look = wanted ? look : undefined;
  }

  async take(max: number, waitMs: number, signal: AbortSignal): Promise<Message[]> {
    const messages = await this.#reader.read(max, waitMs, signal);
    if (messages.length > 0) checkOpen(this.#deps.entity());
    const last = messages.at(-1);
    if (this.#look && last && isOld(this.#end, last)) this.#end = await this.#look();
    return messages;
  }

  send(message: Message): void {
    const tag = Buffer.alloc(4);
    tag.writeUInt32BE(this.#tags++ >>> 0);
    this.#link.send(toEvent(message, this.#end), tag, 0).update(true);
  }

  /** The reader has passed them: it goes back. */
  async giveBack(messages: readonly Message[]): Promise<void> {
    this.#reader.backTo(messages[0]!.sequence);
  }
}

function isOld(end: SeenEnd | undefined, last: Message): boolean {
  return !end || end.sequence < last.sequence || Date.now() - end.seenAt.getTime() > BELIEVE_MS;
}
