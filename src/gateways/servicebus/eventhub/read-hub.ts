// The `READ` operation of `$management`, by which Event Hubs clients ask what a hub and its partitions are.
import { Refusal } from '../../../kit/refusal.ts';
import type { Broker } from '../../../topics/broker.ts';
import type { TopicEntry } from '../../../topics/entities/catalogue.ts';
import type { PartitionState } from '../../../topics/receive/log-reader.ts';
import { parseAddress, seekEntity, type Topics } from '../address.ts';
import * as to from '../amqp/encode.ts';
import type { WireReply, WireRequest } from '../amqp/request.ts';
import { statusOf, type Tell } from '../errors.ts';
import { reply } from '../management/answer.ts';
import { strings } from '../management/reply.ts';
import { partitionNumber } from './place.ts';

export type ReadContext = {
  readonly broker: Broker;
  readonly topics: Topics;
  /** Refuses who has no right on the entity at all. */
  readonly need: (path: string) => void;
  readonly tell: Tell;
};

const HUB = 'com.microsoft:eventhub';
const PARTITION = 'com.microsoft:partition';

export function isRead({ properties }: WireRequest): boolean {
  return String(properties.get('operation')) === 'READ';
}

export async function answerRead(context: ReadContext, request: WireRequest): Promise<WireReply> {
  try {
    return reply(request, 200, 'OK', undefined, await read(context, request));
  } catch (error) {
    const { condition, description } = context.tell(error);
    return reply(request, statusOf(error), description, condition, to.nothing());
  }
}

async function read({ broker, topics, need }: ReadContext, request: WireRequest): Promise<to.Encoded> {
  if (!isRead(request)) {
    const operation = String(request.properties.get('operation') ?? '').slice(0, 100);
    throw new Refusal('method_not_allowed', `There is no operation "${operation}" here.`);
  }
  const text = (name: string) => String(request.properties.get(name) ?? '');
  const { entity, hub, subscription } = parseAddress(text('name'));
  need(entity);
  if (hub || subscription !== undefined)
    throw new Refusal('bad_request', `"name" is the name of an event hub.`, {
      condition: 'com.microsoft:argument-error',
    });
  const { topic } = await seekEntity(topics, parseAddress(entity));
  if (text('type') === HUB) return hubMap(topic);
  if (text('type') !== PARTITION)
    throw new Refusal('method_not_allowed', `There is nothing of the type "${text('type').slice(0, 100)}" to read.`);
  const part = partitionNumber(topic, text('partition'));
  return partitionMap(topic, part, await broker.partitionState(topic.name, part));
}

function hubMap(topic: TopicEntry): to.Encoded {
  const ids = Array.from({ length: topic.partitions }, (_, part) => String(part));
  return entries({
    name: to.string(topic.name),
    type: to.string(HUB),
    created_at: to.timestamp(topic.createdAt),
    partition_count: to.int(topic.partitions),
    partition_ids: strings(ids),
    georeplication_factor: to.int(1),
  });
}

const NONE = -1;

/** A partition that never held anything has no numbers. One that retention has emptied begins where it ended. */
function partitionMap(topic: TopicEntry, part: number, { first, last, next, fresh }: PartitionState): to.Encoded {
  const lastNumber = last?.sequence ?? (fresh ? NONE : next - 1);
  return entries({
    name: to.string(topic.name),
    type: to.string(PARTITION),
    partition: to.string(String(part)),
    begin_sequence_number: to.long(first ?? (fresh ? NONE : next)),
    last_enqueued_sequence_number: to.long(lastNumber),
    last_enqueued_offset: to.string(String(lastNumber)),
    last_enqueued_time_utc: to.timestamp(last?.enqueuedAt ?? new Date(0)),
    is_partition_empty: to.boolean(last === undefined),
  });
}

function entries(values: Readonly<Record<string, to.Encoded>>): to.Encoded {
  return to.map(Object.entries(values).flatMap(([name, value]) => [to.string(name), value]));
}
