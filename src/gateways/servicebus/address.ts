// Addresses as clients write them. JavaScript sends a path, .NET an absolute path with percent signs, Python a whole URI;
// all of them compare without regard to case. An address is normalised for looking things up and echoed as it came.
import { Refusal } from '../../kit/refusal.ts';
import {
  QUEUE_SUBSCRIPTION,
  type SubscriptionEntry,
  subscriptionOf,
  type TopicEntry,
} from '../../topics/entities/catalogue.ts';
import { missingEntity } from './errors.ts';

export type Address = {
  /** The topic or queue; empty for the namespace itself. */
  readonly entity: string;
  readonly subscription: string | undefined;
  /** A subqueue of what the rest names. */
  readonly dead: 'deadLetter' | 'transfer' | undefined;
  /** `management`: the entity's request/response node; `cbs`: where tokens are put. */
  readonly node: 'entity' | 'management' | 'cbs';
  /** What Event Hubs clients name below a topic: where they send to, or what they read. */
  readonly hub?: HubPlace | undefined;
};

export type HubPlace = {
  /** As it was given: it may be no number, or one that there is not. */
  readonly partition?: string;
  readonly group?: string;
  readonly publisher?: string;
};

const SUBQUEUES = [
  ['/$transfer/$deadletterqueue', 'transfer'],
  ['/$deadletterqueue', 'deadLetter'],
] as const;

export function parseAddress(text: string): Address {
  let path = bare(text);
  if (path.toLowerCase() === '$cbs') return { entity: '', subscription: undefined, dead: undefined, node: 'cbs' };
  const management = cut(path, '/$management');
  const node = management === undefined && path.toLowerCase() !== '$management' ? 'entity' : 'management';
  path = management ?? (node === 'management' ? '' : path);
  let dead: Address['dead'];
  for (const [suffix, kind] of SUBQUEUES) {
    const rest = cut(path, suffix);
    if (rest === undefined) continue;
    [path, dead] = [rest, kind];
    break;
  }
  const hub = parseHub(path);
  if (hub) return { ...hub, subscription: undefined, dead, node };
  const at = path.toLowerCase().lastIndexOf('/subscriptions/');
  if (at < 0) return { entity: path, subscription: undefined, dead, node };
  return { entity: path.slice(0, at), subscription: path.slice(at + '/subscriptions/'.length), dead, node };
}

/** `partitions`, `consumergroups` and `publishers` are no parts of a topic's name, so these cannot be topics. */
const READ_PLACE = /^(.+)\/consumergroups\/([^/]+)\/partitions\/([^/]+)$/i;
const SEND_PLACE = /^(.+)\/partitions\/([^/]+)$/i;
const PUBLISHER = /^(.+)\/publishers\/([^/]+)$/i;

function parseHub(path: string): { entity: string; hub: HubPlace } | undefined {
  const read = READ_PLACE.exec(path);
  if (read) return { entity: read[1]!, hub: { group: read[2]!, partition: read[3]! } };
  const send = SEND_PLACE.exec(path);
  if (send) return { entity: send[1]!, hub: { partition: send[2]! } };
  const publisher = PUBLISHER.exec(path);
  return publisher ? { entity: publisher[1]!, hub: { publisher: publisher[2]! } } : undefined;
}

/** The path alone: no scheme, no host, no slashes at the ends, no percent signs. */
export function bare(text: string): string {
  const path = text.replace(/^[a-z][a-z0-9+.-]*:\/\/[^/]*/i, '').replace(/^\/+|\/+$/g, '');
  try {
    return decodeURIComponent(path);
  } catch {
    return path; // A percent sign that encodes nothing: no entity has such a name, so it is not found.
  }
}

function cut(path: string, suffix: string): string | undefined {
  return path.toLowerCase().endsWith(suffix) ? path.slice(0, -suffix.length) : undefined;
}

/** What an address leads to. A queue is received from through a subscription of its own. */
export type Entity = {
  readonly path: string;
  readonly topic: TopicEntry;
  readonly subscription: SubscriptionEntry | undefined;
  readonly dead: Address['dead'];
};

/** What this door looks up by name and number. */
export type Topics = {
  topic(name: string): TopicEntry;
  find(name: string): TopicEntry | undefined;
  /** Reads again what there is: another node may have made an entity a moment ago. */
  seek(): Promise<void>;
  nameOf(id: number): string | undefined;
};

/** Finds the entity, or refuses in the words by which clients know that it does not exist. */
export function findEntity(topics: Topics, address: Address): Entity {
  const path = pathOf(address);
  try {
    const topic = topics.topic(address.entity);
    const name = address.subscription ?? (topic.kind === 'queue' ? QUEUE_SUBSCRIPTION : undefined);
    if (address.subscription !== undefined && topic.kind === 'queue') throw missingEntity(path);
    return {
      path,
      topic,
      subscription: name === undefined ? undefined : subscriptionOf(topic, name),
      dead: address.dead,
    };
  } catch (error) {
    throw missingEntity(path, error);
  }
}

/** The same for an entity that may have been made on another node a moment ago. */
export async function seekEntity(topics: Topics, address: Address): Promise<Entity> {
  try {
    return findEntity(topics, address);
  } catch {
    await topics.seek();
    return findEntity(topics, address);
  }
}

/** Whether the entity is closed to receivers. */
export function isStopped({ topic, subscription }: Entity): boolean {
  const statuses = [topic.settings.status, subscription?.settings.status];
  return statuses.includes('disabled') || statuses.includes('receiveDisabled');
}

export function disabled({ path }: Entity): Refusal {
  return new Refusal('entity_disabled', `Messaging entity '${path}' is currently disabled.`);
}

const SUFFIX = { deadLetter: '/$DeadLetterQueue', transfer: '/$Transfer/$DeadLetterQueue' } as const;

/** The canonical path, as it is shown and compared. */
export function pathOf({ entity, subscription, dead, hub }: Address): string {
  if (hub) return entity + hubSuffix(hub);
  const path = subscription === undefined ? entity : `${entity}/Subscriptions/${subscription}`;
  return dead ? path + SUFFIX[dead] : path;
}

function hubSuffix({ group, partition, publisher }: HubPlace): string {
  if (publisher !== undefined) return `/Publishers/${publisher}`;
  const place = `/Partitions/${partition}`;
  return group === undefined ? place : `/ConsumerGroups/${group}${place}`;
}
