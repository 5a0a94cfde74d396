// Which subscriptions of a topic select a message. Rules without action set the subscription's bit; each matching rule
// with an action makes a copy of its own; a rule that cannot be evaluated on the message makes a faulty copy, which its
// subscription dead-letters (or nothing, if the subscription says so). Correlation and SQL filters lie in the indexes of
// filter/, so that a hundred thousand of the first or thousands of the second cost little per message.
//
// There is one matcher per topic; a new version of the topic changes it rule by rule.

import type { SubscriptionEntry, TopicEntry } from '../entities/catalogue.ts';
import { CORRELATION_FIELDS, type CorrelationFilter, type Rule } from '../entities/rule.ts';
import { type Action, compileAction } from '../filter/action.ts';
import { CorrelationIndex } from '../filter/correlation.ts';
import { FilterFault } from '../filter/fault.ts';
import { compileFilter } from '../filter/filter.ts';
import { FilterIndex } from '../filter/filter-index.ts';
import type { Lookup } from '../filter/lookup.ts';
import type { OutgoingMessage, PropertyValue } from '../message.ts';
import { type Bits, bitsOf } from './bits.ts';
import { fieldOf, lookupOf } from './sample.ts';

type Target = {
  readonly bit: number;
  readonly rule: Rule;
  readonly action: Action | undefined;
  readonly keepFaults: boolean;
};

type Sample = OutgoingMessage & { readonly messageId: string };

/** A record of its own for one subscription. `fault` says why its rule could not be evaluated. */
export type Copy<M> = { readonly bit: number; readonly message: M; readonly fault?: string };

/** `bits`: who gets the message as it is. */
export type Match<M> = { readonly bits: Bits; readonly copies: readonly Copy<M>[] };

const NO_COPIES: readonly [] = [];

export class Matcher {
  readonly #targets = new Map<number, { entry: SubscriptionEntry; byRule: Map<Rule, Target> }>();
  readonly #always = new Set<Target>();
  readonly #correlations = new CorrelationIndex<Target>();
  readonly #filters = new FilterIndex<Target>();
  #alwaysBits: Bits = bitsOf([]);
  /** Nothing has to be looked at: every message matches the same subscriptions. */
  #constant = true;

  constructor(subscriptions: readonly SubscriptionEntry[]) {
    this.update(subscriptions);
  }

  update(subscriptions: readonly SubscriptionEntry[]): void {
    const wanted = new Map(subscriptions.map((entry) => [entry.id, entry]));
    for (const [id, { entry }] of this.#targets) if (!wanted.has(id)) this.#change(entry, undefined);
    for (const entry of subscriptions) {
      const known = this.#targets.get(entry.id)?.entry;
      const same = known?.settings.deadLetterOnFilterError === entry.settings.deadLetterOnFilterError;
      if (known?.rules !== entry.rules || !same) this.#change(known, entry);
    }
    const always = [...this.#always].filter((target) => !target.action);
    this.#alwaysBits = bitsOf(always.map((target) => target.bit));
    this.#constant = this.#correlations.size + this.#filters.size === 0 && always.length === this.#always.size;
  }

  #change(before: SubscriptionEntry | undefined, after: SubscriptionEntry | undefined): void {
    const known = before && this.#targets.get(before.id);
    const keepFaults = after?.settings.deadLetterOnFilterError ?? false;
    const same = after !== undefined && known?.entry.settings.deadLetterOnFilterError === keepFaults;
    if (known && !same) for (const target of known.byRule.values()) this.#remove(target);
    if (before && !after) this.#targets.delete(before.id);
    if (!after) return;
    const byRule = known && same ? known.byRule : new Map<Rule, Target>();
    for (const rule of after.rules) {
      if (byRule.has(rule)) continue;
      const target = { bit: after.bit, rule, action: compiledAction(rule), keepFaults };
      this.#add(target);
      byRule.set(rule, target);
    }
    if (byRule.size > after.rules.length) this.#removeOthers(byRule, new Set(after.rules));
    this.#targets.set(after.id, { entry: after, byRule });
  }

  #removeOthers(byRule: Map<Rule, Target>, wanted: ReadonlySet<Rule>): void {
    for (const [rule, target] of byRule) {
      if (wanted.has(rule)) continue;
      byRule.delete(rule);
      this.#remove(target);
    }
  }

  #add(target: Target): void {
    const { filter } = target.rule;
    if (filter.type === 'true') this.#always.add(target);
    else if (filter.type === 'sql') this.#filters.add(target, compileFilter(filter.expression, parametersOf(filter)));
    else if (filter.type === 'correlation') this.#correlations.add(target, toCorrelation(filter));
  }

  #remove(target: Target): void {
    this.#always.delete(target);
    this.#filters.remove(target);
    this.#correlations.remove(target);
  }

  match<M extends Sample>(message: M): Match<M> {
    if (this.#constant) return { bits: this.#alwaysBits, copies: NO_COPIES };
    const lookup = lookupOf(message);
    const members: number[] = [];
    const copies: Copy<M>[] = [];
    const matched = (target: Target) => {
      if (target.action) copies.push(...copyOf(target, target.action, message, lookup));
      else members.push(target.bit);
    };
    for (const target of this.#always) if (target.action) matched(target);
    this.#correlations.match(lookup, matched);
    this.#filters.match(lookup, matched, (target, fault) => copies.push(...faulty(target, fault, message)));
    const bits = members.length === 0 ? this.#alwaysBits : union(this.#alwaysBits, members);
    return { bits, copies };
  }
}

function compiledAction(rule: Rule): Action | undefined {
  return rule.action === undefined ? undefined : compileAction(rule.action);
}

function parametersOf(filter: { readonly parameters?: Readonly<Record<string, PropertyValue>> }) {
  return filter.parameters ? { parameters: filter.parameters } : {};
}

/** Throws `filter_invalid` for what could never be evaluated. */
export function checkRule(rule: Rule): void {
  compiledAction(rule);
  if (rule.filter.type === 'sql') compileFilter(rule.filter.expression, parametersOf(rule.filter));
  if (rule.filter.type === 'correlation') new CorrelationIndex<number>().add(0, toCorrelation(rule.filter));
}

function toCorrelation(filter: CorrelationFilter) {
  const system: Record<string, string> = {};
  for (const field of CORRELATION_FIELDS) {
    const value = filter[field];
    if (value !== undefined) system[field[0]!.toUpperCase() + field.slice(1)] = value;
  }
  return { system, properties: filter.properties ?? {} };
}

function copyOf<M extends Sample>(target: Target, action: Action, message: M, lookup: Lookup): Copy<M>[] {
  const fields: Record<string, unknown> = {};
  const properties: Record<string, PropertyValue> = { ...message.properties, RuleName: target.rule.name };
  const fault = action.apply(lookup, (scope, name, value, folded) => {
    if (scope === 'user') setProperty(properties, name, folded, value);
    else fields[fieldOf(folded) ?? name] = value === null ? undefined : value;
  });
  if (fault) return faulty(target, fault, message);
  const changed = { ...message, ...fields, properties };
  const unfit = unfitFor(changed);
  return unfit ? faulty(target, unfit, message) : [{ bit: target.bit, message: changed }];
}

/** What a copy cannot be written with, whatever its sender was allowed to write. */
function unfitFor({ messageId, timeToLiveMs }: Partial<Sample>): FilterFault | undefined {
  if (messageId === undefined) return new FilterFault('types_differ', 'A message cannot be without a MessageId', 0);
  if (timeToLiveMs === undefined || (Number.isSafeInteger(timeToLiveMs) && timeToLiveMs > 0)) return undefined;
  return new FilterFault('types_differ', 'TimeToLive is a positive whole number of milliseconds', 0);
}

/** Property names are case-insensitive: the spelling that is there stays. */
export function setProperty(
  properties: Record<string, PropertyValue>,
  name: string,
  folded: string,
  value: PropertyValue | undefined,
): void {
  const known = Object.keys(properties).find((key) => key.toLowerCase() === folded) ?? name;
  if (value === undefined) delete properties[known];
  else Object.defineProperty(properties, known, { value, enumerable: true, configurable: true, writable: true });
}

function faulty<M>(target: Target, fault: FilterFault, message: M): Copy<M>[] {
  if (!target.keepFaults) return [];
  return [{ bit: target.bit, message, fault: `Rule ${target.rule.name}: ${fault.message}` }];
}

function union(base: Bits, members: readonly number[]): Bits {
  const extra = bitsOf(members);
  const bytes = new Uint8Array(Math.max(base.length, extra.length));
  bytes.set(base);
  for (let i = 0; i < extra.length; i++) bytes[i]! |= extra[i]!;
  return bytes;
}

/** The matchers of the topics, brought up to the version that is asked for. */
export class Matchers {
  readonly #byTopic = new Map<number, { topic: TopicEntry; matcher: Matcher }>();

  of(topic: TopicEntry): Matcher {
    const known = this.#byTopic.get(topic.id);
    if (known?.topic === topic) return known.matcher;
    const matcher = known?.matcher ?? new Matcher([]);
    matcher.update(topic.subscriptions);
    this.#byTopic.set(topic.id, { topic, matcher });
    return matcher;
  }

  forget(topicId: number): void {
    this.#byTopic.delete(topicId);
  }
}
