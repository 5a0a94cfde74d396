// Operations on the rules of a subscription.
import { Refusal } from '../../../kit/refusal.ts';
import type { Rule } from '../../../topics/entities/rule.ts';
import type { AmqpValue } from '../amqp/decode.ts';
import * as to from '../amqp/encode.ts';
import { encodeRule, readRule } from '../amqp/rules.ts';
import type { ManagementContext, Operation, Result } from './answer.ts';
import type { Fields } from './fields.ts';
import { OK } from './reply.ts';

export const rules = {
  'enumerate-rules': { right: 'Listen', run: enumerate },
  'add-rule': { right: 'Manage', run: add },
  'remove-rule': { right: 'Manage', run: remove },
} as const satisfies Record<string, Operation>;

async function enumerate({ entity }: ManagementContext, body: Fields): Promise<Result> {
  const { subscription } = ofSubscription(entity());
  const [skip, top] = [body.number('skip', 0), body.number('top', 100)];
  const sorted = [...subscription.rules].sort((a, b) => (a.name < b.name ? -1 : 1)).slice(skip, skip + top);
  if (sorted.length === 0) return { status: 204 };
  const items = sorted.map((rule) => to.map([to.string('rule-description'), encodeRule(rule)]));
  return { status: 200, body: to.map([to.string('rules'), to.list(items)]) };
}

async function add({ broker, entity }: ManagementContext, body: Fields): Promise<Result> {
  const { topic, subscription } = ofSubscription(entity());
  const rule: Rule = readRule(body.requiredText('rule-name'), body.value('rule-description') as AmqpValue);
  await broker.addRule(topic.name, subscription.name, rule);
  return OK;
}

async function remove({ broker, entity }: ManagementContext, body: Fields): Promise<Result> {
  const { topic, subscription } = ofSubscription(entity());
  const name = body.requiredText('rule-name');
  const known = subscription.rules.find((rule) => rule.name.toLowerCase() === name.toLowerCase());
  if (!known) throw new Refusal('not_found', `The messaging entity rule '${name.slice(0, 100)}' could not be found.`);
  await broker.removeRule(topic.name, subscription.name, known.name);
  return OK;
}

function ofSubscription(entity: ReturnType<ManagementContext['entity']>) {
  const { topic, subscription } = entity;
  if (!subscription || topic.kind === 'queue') throw new Refusal('conflict', `'${entity.path}' is no subscription.`);
  return { topic, subscription };
}
