// Operations on the rules of a subscription.
import { Refusal } from '../../../kit/refusal.ts';
import type { SubscriptionEntry } from '../../../topics/entities/catalogue.ts';
import type { Rule } from '../../../topics/entities/rule.ts';
import * as to from '../amqp/encode.ts';
import { encodeRule, readRule } from '../amqp/rules.ts';
import type { ManagementContext, Operation, Result } from './answer.ts';
import { type Fields, wrong } from './fields.ts';
import { OK } from './reply.ts';

export const rules = {
  'enumerate-rules': { right: 'Listen', run: enumerate },
  'add-rule': { right: 'Manage', run: add },
  'remove-rule': { right: 'Manage', run: remove },
} as const satisfies Record<string, Operation>;

async function enumerate({ entity }: ManagementContext, body: Fields): Promise<Result> {
  const { subscription } = ofSubscription(entity());
  const [skip, top] = [body.count('skip', 0), body.count('top', 100)];
  const sorted = [...subscription.rules].sort((a, b) => (a.name < b.name ? -1 : 1)).slice(skip, skip + top);
  if (sorted.length === 0) return { status: 204 };
  const items = sorted.map((rule) => to.map([to.string('rule-description'), encodeRule(rule)]));
  return { status: 200, body: to.map([to.string('rules'), to.list(items)]) };
}

async function add({ broker, entity }: ManagementContext, body: Fields): Promise<Result> {
  const { topic, subscription } = ofSubscription(entity());
  const description = body.value('rule-description');
  if (!(description instanceof Map)) throw wrong('rule-description', 'a map');
  const rule: Rule = readRule(body.requiredText('rule-name'), description);
  if (findRule(subscription, rule.name)) throw new Refusal('already_exists', `There is a rule '${rule.name}' already.`);
  await broker.addRule(topic.name, subscription.name, rule);
  return OK;
}

async function remove({ broker, entity }: ManagementContext, body: Fields): Promise<Result> {
  const { topic, subscription } = ofSubscription(entity());
  const name = body.requiredText('rule-name');
  const known = findRule(subscription, name);
  if (!known) throw new Refusal('not_found', `The messaging entity rule '${name.slice(0, 100)}' could not be found.`);
  await broker.removeRule(topic.name, subscription.name, known.name);
  return OK;
}

/** Names of rules compare without regard to case. */
function findRule({ rules }: SubscriptionEntry, name: string): Rule | undefined {
  return rules.find((rule) => rule.name.toLowerCase() === name.toLowerCase());
}

function ofSubscription(entity: ReturnType<ManagementContext['entity']>) {
  const { topic, subscription } = entity;
  if (!subscription || topic.kind === 'queue') throw new Refusal('conflict', `'${entity.path}' is no subscription.`);
  return { topic, subscription };
}
