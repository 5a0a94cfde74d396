// Which subscriptions of a topic select a message. Built once per version of a topic. Rules without action set the
// subscription's bit; each matching rule with an action makes a copy of its own. Correlation filters are found by hash:
// all filters over the same fields share one map from the values of those fields to subscriptions, so a hundred thousand
// of them cost one lookup per distinct set of fields.
import { type Bits, bitsOf } from './bits.ts';
import type { SubscriptionEntry, TopicEntry } from './catalogue.ts';
import type { OutgoingMessage, PropertyValue } from './message.ts';
import { CORRELATION_FIELDS, type CorrelationFilter, type Rule } from './rule.ts';

export type Selected = { readonly bit: number; readonly rule: Rule };

/** `bits`: who gets the message as it is. `copies`: matching rules with an action. */
export type Match = { readonly bits: Bits; readonly copies: readonly Selected[] };

type Sample = OutgoingMessage & { readonly messageId: string };
type Target = { readonly bit: number; readonly rule: Rule; readonly action: boolean };

/** The filters over one set of fields. */
type Shape = {
  readonly fields: readonly (typeof CORRELATION_FIELDS)[number][];
  readonly properties: readonly string[];
  readonly byValues: Map<string, Target[]>;
};

export class Matcher {
  readonly #always: Bits;
  readonly #alwaysMatch: Match;
  readonly #shapes: readonly Shape[];
  readonly #alwaysCopies: readonly Selected[];

  constructor(subscriptions: readonly SubscriptionEntry[]) {
    const always: number[] = [];
    const copies: Selected[] = [];
    const shapes = new Map<string, Shape>();
    for (const { bit, rules } of subscriptions) {
      for (const rule of rules) {
        if (rule.filter.type === 'true' && rule.action === undefined) always.push(bit);
        else if (rule.filter.type === 'true') copies.push({ bit, rule });
        else if (rule.filter.type === 'correlation') indexCorrelation(shapes, rule.filter, bit, rule);
      }
    }
    this.#always = bitsOf(always);
    this.#alwaysCopies = copies;
    this.#alwaysMatch = { bits: this.#always, copies };
    this.#shapes = [...shapes.values()];
  }

  match(message: Sample): Match {
    if (this.#shapes.length === 0) return this.#alwaysMatch;
    const members: number[] = [];
    const copies: Selected[] = [...this.#alwaysCopies];
    for (const shape of this.#shapes) {
      for (const target of shape.byValues.get(valuesOf(shape, message)) ?? []) {
        if (target.action) copies.push(target);
        else members.push(target.bit);
      }
    }
    if (members.length === 0) return { bits: this.#always, copies };
    return { bits: union(this.#always, members), copies };
  }
}

function indexCorrelation(shapes: Map<string, Shape>, filter: CorrelationFilter, bit: number, rule: Rule): void {
  const fields = CORRELATION_FIELDS.filter((field) => filter[field] !== undefined);
  const properties = Object.keys(filter.properties ?? {}).sort();
  const key = JSON.stringify([fields, properties]);
  let shape = shapes.get(key);
  if (!shape) {
    shape = { fields, properties, byValues: new Map() };
    shapes.set(key, shape);
  }
  const values = valuesOf(shape, filter);
  const target = { bit, rule, action: rule.action !== undefined };
  const targets = shape.byValues.get(values);
  if (targets) targets.push(target);
  else shape.byValues.set(values, [target]);
}

type Fields = Pick<CorrelationFilter, (typeof CORRELATION_FIELDS)[number]> & {
  readonly properties?: Readonly<Record<string, PropertyValue>> | undefined;
};

function valuesOf(shape: Shape, from: { [K in keyof Fields]?: Fields[K] | undefined }): string {
  let key = '';
  for (const field of shape.fields) key += typed(from[field]);
  for (const name of shape.properties) key += typed(from.properties?.[name]);
  return key;
}

/** Equal text for equal values: numbers compare by value whatever their wire type, strings by case. */
function typed(value: PropertyValue | undefined): string {
  if (value === undefined) return 'u;';
  if (value === null) return 'z;';
  if (typeof value === 'string') return `s${value.length}:${value}`;
  if (typeof value === 'boolean') return value ? 't;' : 'f;';
  if (typeof value === 'number' || typeof value === 'bigint') return `n${value};`;
  if (value instanceof Date) return `d${value.getTime()};`;
  return `b${Buffer.from(value).toString('base64')};`;
}

function union(base: Bits, members: readonly number[]): Bits {
  const extra = bitsOf(members);
  const bytes = new Uint8Array(Math.max(base.length, extra.length));
  bytes.set(base);
  for (let i = 0; i < extra.length; i++) bytes[i]! |= extra[i]!;
  return bytes;
}

const cache = new WeakMap<TopicEntry, Matcher>();

/** The matcher of this version of the topic. */
export function matcherOf(topic: TopicEntry): Matcher {
  let matcher = cache.get(topic);
  if (!matcher) {
    matcher = new Matcher(topic.subscriptions);
    cache.set(topic, matcher);
  }
  return matcher;
}

/** The copy that a rule with an action makes: the action's changes, and the rule's name as a property. */
export function applyAction<M extends OutgoingMessage>(rule: Rule, message: M): M {
  return { ...message, properties: { ...message.properties, RuleName: rule.name } };
}
