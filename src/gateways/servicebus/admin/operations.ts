// What can be asked of the administration: topics, queues, subscriptions and rules are listed, shown, created, changed
// and deleted. A PUT creates, unless it carries If-Match: then it changes what must be there.
import { Refusal } from '../../../kit/refusal.ts';
import { child, childText, type Element, parseXml, textTag } from '../../../kit/xml.ts';
import { QUEUE_SUBSCRIPTION, type SubscriptionEntry, type TopicEntry } from '../../../topics/entities/catalogue.ts';
import { DEFAULT_RULE, type Rule } from '../../../topics/entities/rule.ts';
import type { Counts } from '../../../topics/owner/counts.ts';
import type { DoorDeps } from '../door.ts';
import { type EntityRecord, recordKey } from '../entity-records.ts';
import { missingEntity } from '../errors.ts';
import type { WhichKey } from '../root-keys.ts';
import type { AdminAnswer, AdminRequest } from './answer.ts';
import { type Entry, printEntry, printFeed } from './atom.ts';
import { readRules } from './authorization-rules.ts';
import * as description from './description.ts';
import { readForwarding, readSubscriptionSettings, readTopicSettings } from './read-description.ts';
import { printRuleDescription, readRuleDescription } from './rule-description.ts';

type Deps = DoorDeps;

export function operate(deps: Deps, request: AdminRequest): Promise<AdminAnswer> | AdminAnswer {
  const { route, method } = request;
  if (method === 'GET') return get(deps, request);
  if (route.kind === 'entity')
    return method === 'PUT' ? putEntity(deps, request, route.name) : deleteEntity(deps, route.name);
  if (route.kind === 'subscription')
    return method === 'PUT' ? putSubscription(deps, request, route) : deleteSubscription(deps, route);
  if (route.kind === 'rule') return method === 'PUT' ? putRule(deps, request, route) : deleteRule(deps, route);
  if (route.kind === 'keys' && route.which && method === 'PUT') return keys(deps, route.which);
  throw new Refusal('method_not_allowed', 'This cannot be changed.');
}

async function get(deps: Deps, request: AdminRequest): Promise<AdminAnswer> {
  const { route } = request;
  switch (route.kind) {
    case 'keys':
      return keys(deps);
    case 'namespace':
      return namespaceInfo(request, await deps.since());
    case 'entities':
      return listEntities(deps, request, route.of);
    case 'entity':
      return one(request, await entityEntry(deps, request, find(deps, route.name)));
    case 'subscriptions':
      return listSubscriptions(deps, request, find(deps, route.topic, 'topic'));
    case 'subscription': {
      const { topic, subscription } = findSubscription(deps, route.topic, route.name);
      return one(request, await subscriptionEntry(deps, request, topic, subscription));
    }
    case 'rules':
      return listRules(deps, request, route);
    case 'rule':
      return one(request, ruleEntry(findRule(deps, route)));
  }
}

/** Ours, not the original's: the keys of RootManageSharedAccessKey as JSON. A PUT has made a new one. */
async function keys({ rootKeys }: Deps, made?: WhichKey): Promise<AdminAnswer> {
  const now = made === undefined ? await rootKeys.current() : await rootKeys.regenerate(made);
  return { status: 200, body: JSON.stringify(now), type: 'application/json' };
}

function one(request: AdminRequest, entry: Entry, status = 200): AdminAnswer {
  return { status, body: printEntry(request.place, entry) };
}

function namespaceInfo(request: AdminRequest, at: Date): AdminAnswer {
  const fields = [
    textTag('CreatedTime', at.toISOString()),
    textTag('MessagingSKU', 'Standard'),
    textTag('ModifiedTime', at.toISOString()),
    textTag('Name', request.host.split('.')[0]),
    textTag('NamespaceType', 'Messaging'),
  ];
  const content = description.describe('NamespaceInfo', fields);
  return one(request, { path: '$namespaceinfo', title: 'carillon', createdAt: at, updatedAt: at, content });
}

// Finding

function find(deps: Deps, name: string, kind?: 'topic' | 'queue'): TopicEntry {
  const topic = deps.topics.find(name);
  if (!topic || (kind && topic.kind !== kind)) throw missingEntity(name);
  return topic;
}

function findSubscription(deps: Deps, topicName: string, name: string) {
  const topic = find(deps, topicName, 'topic');
  const subscription = topic.subscriptions.find((each) => each.name.toLowerCase() === name.toLowerCase());
  if (!subscription) throw missingEntity(`${topic.name}/Subscriptions/${name}`);
  return { topic, subscription };
}

type RuleRoute = { readonly topic: string; readonly subscription: string; readonly name: string };

function findRule(deps: Deps, route: RuleRoute) {
  const { topic, subscription } = findSubscription(deps, route.topic, route.subscription);
  const rule = subscription.rules.find((each) => each.name.toLowerCase() === route.name.toLowerCase());
  if (!rule) throw missingEntity(`${topic.name}/Subscriptions/${subscription.name}/Rules/${route.name}`);
  return { topic, subscription, rule };
}

// Showing

/** Messages of a topic lie in its subscriptions; only what waits for its time is the topic's own. */
const NO_COUNTS: Counts = { active: 0, locked: 0, deferred: 0, deadLettered: 0, transferDeadLettered: 0 };
const NO_RECORD: EntityRecord = { fields: {}, rules: [] };

async function entityEntry(
  deps: Deps,
  { host }: AdminRequest,
  topic: TopicEntry,
  known?: EntityRecord,
  sizes?: ReadonlyMap<number, number>,
): Promise<Entry> {
  const record = known ?? (await deps.records.get(topic.id));
  const bytes = (sizes ?? (await deps.broker.sizes([topic.id]))).get(topic.id) ?? 0;
  const isQueue = topic.kind === 'queue';
  const counts = isQueue ? await deps.broker.counts(topic.name, QUEUE_SUBSCRIPTION) : NO_COUNTS;
  const scheduled = await deps.broker.countScheduled(topic.name);
  const described = { topic, record, counts: { ...counts, scheduled, bytes }, host };
  const content = isQueue ? description.printQueue(described) : description.printTopic(described);
  return { ...topic, path: topic.name, title: topic.name, content };
}

async function subscriptionEntry(
  deps: Deps,
  { host }: AdminRequest,
  topic: TopicEntry,
  subscription: SubscriptionEntry,
  known?: EntityRecord,
): Promise<Entry> {
  const record = known ?? (await deps.records.get(topic.id, subscription.id));
  const counts = await deps.broker.counts(topic.name, subscription.name);
  const content = description.printSubscription(subscription, { record, counts, host });
  const path = `${topic.name}/Subscriptions/${subscription.name}`;
  return { ...subscription, path, title: subscription.name, content };
}

type RulePlace = { readonly topic: TopicEntry; readonly subscription: SubscriptionEntry; readonly rule: Rule };

function ruleEntry({ topic, subscription, rule }: RulePlace): Entry {
  const path = `${topic.name}/Subscriptions/${subscription.name}/Rules/${rule.name}`;
  const createdAt = rule.createdAt ?? new Date(0);
  return { path, title: rule.name, createdAt, updatedAt: createdAt, content: printRuleDescription(rule) };
}

async function listEntities(deps: Deps, request: AdminRequest, kind: 'topic' | 'queue'): Promise<AdminAnswer> {
  const all = deps.broker.listTopics({ kind, limit: Number.MAX_SAFE_INTEGER }).items;
  const { items, page } = cut(all, request);
  const ids = items.map(({ id }) => id);
  const [records, sizes] = await Promise.all([deps.records.ofTopics(ids), deps.broker.sizes(ids)]);
  const recordOf = (topic: TopicEntry) => records.get(recordKey(topic.id, 0)) ?? NO_RECORD;
  const entries = await Promise.all(items.map((topic) => entityEntry(deps, request, topic, recordOf(topic), sizes)));
  const title = kind === 'topic' ? 'Topics' : 'Queues';
  return { status: 200, body: printFeed(request.place, `$Resources/${title}`, title, entries, page) };
}

async function listSubscriptions(deps: Deps, request: AdminRequest, topic: TopicEntry): Promise<AdminAnswer> {
  const { items, page } = cut(byName(topic.subscriptions), request);
  const records = await deps.records.ofTopics([topic.id]);
  const entries = await Promise.all(
    items.map((each) =>
      subscriptionEntry(deps, request, topic, each, records.get(recordKey(topic.id, each.id)) ?? NO_RECORD),
    ),
  );
  return { status: 200, body: printFeed(request.place, `${topic.name}/Subscriptions`, 'Subscriptions', entries, page) };
}

function listRules(
  deps: Deps,
  request: AdminRequest,
  route: { readonly topic: string; readonly subscription: string },
): AdminAnswer {
  const { topic, subscription } = findSubscription(deps, route.topic, route.subscription);
  const { items, page } = cut(byName(subscription.rules), request);
  const entries = items.map((rule) => ruleEntry({ topic, subscription, rule }));
  const path = `${topic.name}/Subscriptions/${subscription.name}/Rules`;
  return { status: 200, body: printFeed(request.place, path, 'Rules', entries, page) };
}

function byName<T extends { readonly name: string }>(items: readonly T[]): T[] {
  return [...items].sort((a, b) => (a.name.toLowerCase() < b.name.toLowerCase() ? -1 : 1));
}

function cut<T>(all: readonly T[], { skip, top }: AdminRequest) {
  return { items: all.slice(skip, skip + top), page: { skip, top, more: all.length > skip + top } };
}

// Creating and changing

function contentOf(request: AdminRequest, ...names: readonly string[]): Element {
  const entry = parseXml(request.body);
  const found = names.map((name) => child(child(entry, 'content'), name)).find((each) => each !== undefined);
  if (!found) throw new Refusal('bad_request', `The content of the entry is no ${names.join(' or ')}.`);
  return found;
}

async function putEntity(deps: Deps, request: AdminRequest, name: string): Promise<AdminAnswer> {
  const given = contentOf(request, 'TopicDescription', 'QueueDescription');
  const kind = given.name === 'TopicDescription' ? 'topic' : 'queue';
  const known = deps.topics.find(name);
  if (request.isUpdate && !known) throw missingEntity(name);
  if (!request.isUpdate && known)
    throw new Refusal('already_exists', `The messaging entity '${known.name}' exists already, as a ${known.kind}.`);
  if (known && known.kind !== kind) throw new Refusal('bad_request', `'${known.name}' is a ${known.kind}, no ${kind}.`);
  await checkForwarding(deps, request, given, name);
  const before = known ? await deps.records.get(known.id) : NO_RECORD;
  const record = newRecord(deps, given, before, !known); // Before anything is changed: it may be refused.
  const entry = known ? await changeEntity(deps, known, given, before) : await createEntity(deps, name, kind, given);
  await deps.records.put(entry.id, 0, record);
  return one(request, await entityEntry(deps, request, entry, record), known ? 200 : 201);
}

function createEntity(deps: Deps, name: string, kind: 'topic' | 'queue', given: Element): Promise<TopicEntry> {
  const settings = { ...readTopicSettings(given), ...readQuota(given, childText(given, 'EnablePartitioning')) };
  if (kind === 'topic') return deps.broker.createTopic(name, { settings });
  return deps.broker.createQueue(name, { settings, queue: readSubscriptionSettings(given, true) });
}

/** Clients send back the size that they were shown; it is a quota only when somebody has chosen it. */
function readQuota(given: Element, partitioned?: string): { maxSizeBytes?: number } {
  const text = childText(given, 'MaxSizeInMegabytes');
  if (text === undefined) return {};
  if (!/^[1-9]\d{0,8}$/.test(text))
    throw new Refusal('bad_request', "The value of 'MaxSizeInMegabytes' is no number of megabytes.");
  return { maxSizeBytes: Number(text) * 1024 * 1024 * (partitioned === 'true' ? 16 : 1) };
}

const LEAST_LARGE_BYTES = 1024 * 1024;
const MOST_LARGE_BYTES = 102_400 * 1024;

async function changeEntity(
  deps: Deps,
  known: TopicEntry,
  given: Element,
  { fields }: EntityRecord,
): Promise<TopicEntry> {
  const { maxMessageBytes: bytes, ...settings } = readTopicSettings(given);
  // Clients send back what they were shown, in whole kilobytes.
  const isNew = bytes !== undefined && bytes !== Math.floor(known.settings.maxMessageBytes / 1024) * 1024;
  if (isNew && (bytes < LEAST_LARGE_BYTES || bytes > MOST_LARGE_BYTES))
    throw new Refusal('bad_request', "The value for 'MaxMessageSizeInKilobytes' must be between 1024 and 102400.");
  keepsSame('RequiresDuplicateDetection', known.settings.duplicateDetection, settings.duplicateDetection);
  keepsSame('EnablePartitioning', fields.EnablePartitioning ?? 'false', childText(given, 'EnablePartitioning'));
  const before = fields.MaxSizeInMegabytes ?? description.DEFAULT_MEGABYTES;
  const quota = childText(given, 'MaxSizeInMegabytes') === before ? {} : readQuota(given);
  const all = { ...settings, ...(isNew && { maxMessageBytes: bytes }), ...quota };
  if (known.kind === 'topic') return deps.broker.updateTopic(known.name, { settings: all });
  return deps.broker.updateQueue(known.name, { settings: all, queue: readSubscriptionSettings(given, true) });
}

/** The original refuses these changes; here nothing hangs on them. What something hangs on the broker refuses (fixed.ts). */
function keepsSame(name: string, before: boolean | string, given: boolean | string | undefined): void {
  if (given === undefined || given === before) return;
  const words = `The value of '${name}' cannot be changed once the entity exists: make another one.`;
  throw new Refusal('bad_request', words);
}

async function checkForwarding(deps: Deps, request: AdminRequest, given: Element, self: string): Promise<void> {
  const { forwardTo, forwardDeadLettersTo } = readForwarding(given);
  const routes = [
    ['forward', forwardTo],
    ['forwardDead', forwardDeadLettersTo],
  ] as const;
  for (const [kind, name] of routes) {
    if (name === null || name === undefined) continue;
    const to = name.slice(0, 260);
    if (name.toLowerCase() === self.toLowerCase())
      throw new Refusal('bad_request', `'${to}' cannot forward its messages to itself.`);
    if (!deps.topics.find(name))
      throw new Refusal('bad_request', `Messages cannot be forwarded to '${to}': there is no such queue or topic.`);
    await request.needSend(kind, name);
  }
}

/** A partitioned entity of the standard tier gets sixteen times the size, once. */
function newRecord(deps: Deps, given: Element, before: EntityRecord, isNew: boolean): EntityRecord {
  const fields = description.keptFields(given, before.fields);
  if (isNew && fields.EnablePartitioning === 'true')
    fields.MaxSizeInMegabytes = String(Number(fields.MaxSizeInMegabytes ?? 1024) * 16);
  const rules = description.authorizationRulesOf(given);
  return { fields, rules: rules ? readRules(rules, deps.now(), deps.maxRules) : before.rules };
}

type SubscriptionRoute = { readonly topic: string; readonly name: string };

async function putSubscription(deps: Deps, request: AdminRequest, route: SubscriptionRoute): Promise<AdminAnswer> {
  const given = contentOf(request, 'SubscriptionDescription');
  const topic = find(deps, route.topic, 'topic');
  const known = topic.subscriptions.find((each) => each.name.toLowerCase() === route.name.toLowerCase());
  if (request.isUpdate && !known) throw missingEntity(`${topic.name}/Subscriptions/${route.name}`);
  if (!request.isUpdate && known)
    throw new Refusal(
      'already_exists',
      `The messaging entity '${topic.name}/Subscriptions/${known.name}' exists already.`,
    );
  await checkForwarding(deps, request, given, topic.name);
  if (known) await deps.broker.updateSubscription(topic.name, known.name, readSubscriptionSettings(given, false));
  else await createSubscription(deps, topic, route.name, given);
  const now = findSubscription(deps, topic.name, route.name);
  const before = await deps.records.get(topic.id, now.subscription.id);
  const record = { fields: description.keptFields(given, before.fields), rules: [] };
  await deps.records.put(topic.id, now.subscription.id, record);
  const entry = await subscriptionEntry(deps, request, now.topic, now.subscription, record);
  return one(request, entry, known ? 200 : 201);
}

async function createSubscription(deps: Deps, topic: TopicEntry, name: string, given: Element): Promise<void> {
  const first = child(given, 'DefaultRuleDescription');
  const rule = first ? readRuleDescription(first, childText(first, 'Name') ?? DEFAULT_RULE.name) : DEFAULT_RULE;
  await deps.broker.createSubscription(topic.name, name, readSubscriptionSettings(given, false), [rule]);
}

async function putRule(deps: Deps, request: AdminRequest, route: RuleRoute): Promise<AdminAnswer> {
  const given = contentOf(request, 'RuleDescription');
  const { topic, subscription } = findSubscription(deps, route.topic, route.subscription);
  const known = subscription.rules.find((each) => each.name.toLowerCase() === route.name.toLowerCase());
  if (request.isUpdate && !known)
    throw missingEntity(`${topic.name}/Subscriptions/${subscription.name}/Rules/${route.name}`);
  if (!request.isUpdate && known) throw new Refusal('already_exists', `The rule '${known.name}' exists already.`);
  const rule = readRuleDescription(given, known?.name ?? route.name);
  if (known) {
    const others = subscription.rules.filter((each) => each !== known);
    await deps.broker.replaceRules(topic.name, subscription.name, [...others, rule]);
  } else await deps.broker.addRule(topic.name, subscription.name, rule);
  return one(request, ruleEntry(findRule(deps, { ...route, name: rule.name })), known ? 200 : 201);
}

// Deleting

const DELETED: AdminAnswer = { status: 200, body: '' };

async function deleteEntity(deps: Deps, name: string): Promise<AdminAnswer> {
  const topic = find(deps, name);
  await deps.broker.deleteTopic(topic.name);
  await deps.records.remove(topic.id);
  return DELETED;
}

async function deleteSubscription(deps: Deps, route: SubscriptionRoute): Promise<AdminAnswer> {
  const { topic, subscription } = findSubscription(deps, route.topic, route.name);
  await deps.broker.deleteSubscription(topic.name, subscription.name);
  await deps.records.remove(topic.id, subscription.id);
  return DELETED;
}

async function deleteRule(deps: Deps, route: RuleRoute): Promise<AdminAnswer> {
  const { topic, subscription, rule } = findRule(deps, route);
  await deps.broker.removeRule(topic.name, subscription.name, rule.name);
  return DELETED;
}
