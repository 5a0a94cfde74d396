// Correlation filters: all given fields are equal to the message's. Strings compare case-sensitively, numbers by value
// whatever their type, nothing else converts; a property that is missing or null equals nothing.
//
// The index answers "which of 100,000 correlation filters match?" by hash. Filters that name the same fields form a
// shape; a shape is one map from the values of these fields to its filters, so a message costs one map access per
// shape. Shapes lie under one of their user properties (their lead), so that many shapes of different properties cost
// only as much as the message has properties, if the caller can name them.
import { Refusal } from '../../kit/refusal.ts';
import { type Hash, hashable } from './hash.ts';
import { type Lookup, type PropertyValue, type Scope, systemProperties } from './lookup.ts';

/** Field names as in `systemProperties` (Subject, not Label). A field or property that is undefined is not asked for. */
export type CorrelationFilter = {
  readonly system?: Readonly<Partial<Record<CorrelationField, string | undefined>>>;
  readonly properties?: Readonly<Record<string, PropertyValue | undefined>>;
};

const fields = [
  'CorrelationId',
  'MessageId',
  'To',
  'ReplyTo',
  'Subject',
  'SessionId',
  'ReplyToSessionId',
  'ContentType',
] as const;
export type CorrelationField = (typeof fields)[number];

type Field = { readonly scope: Scope; readonly name: string; readonly folded: string };
type Shape<K> = {
  readonly name: string;
  readonly fields: readonly Field[];
  readonly lead: string;
  readonly filters: Map<Hash, Set<K>>;
};
type Wanted = Field & { readonly value: PropertyValue };

/** Whether one filter matches. Throws Refusal `filter_invalid` as the index does. */
export function compileCorrelation(filter: CorrelationFilter): (lookup: Lookup) => boolean {
  const wanted = wantedBy(filter);
  const values = wanted.map((field) => hashable(field.value));
  if (values.includes(undefined)) return () => false; // NaN: equal to nothing, so it never matches.
  return (lookup) => wanted.every((field, i) => hashOf(field, lookup) === values[i]);
}

/** Filters by keys of the caller's choice. In memory, for one topic; not safe to change while `match` runs. */
export class CorrelationIndex<K> {
  readonly #shapes = new Map<string, Shape<K>>();
  readonly #leads = new Map<string, Set<Shape<K>>>();
  readonly #places = new Map<K, { readonly shape: Shape<K>; readonly hash: Hash }>();

  get size(): number {
    return this.#places.size;
  }

  /** A filter of the same key is replaced. Throws Refusal `filter_invalid` for no field at all, null or a wrong name. */
  add(key: K, filter: CorrelationFilter): void {
    const wanted = wantedBy(filter);
    this.remove(key);
    const hash = wantedHash(wanted);
    if (hash === undefined) return; // NaN, as above.
    const shape = this.#shapeOf(wanted);
    const keys = shape.filters.get(hash);
    if (keys) keys.add(key);
    else shape.filters.set(hash, new Set([key]));
    this.#places.set(key, { shape, hash });
  }

  remove(key: K): boolean {
    const place = this.#places.get(key);
    if (!place) return false;
    this.#places.delete(key);
    const { shape, hash } = place;
    const keys = shape.filters.get(hash)!;
    keys.delete(key);
    if (keys.size === 0) shape.filters.delete(hash);
    if (shape.filters.size === 0) this.#drop(shape);
    return true;
  }

  /**
   * Calls `found` with the key of every filter that matches, in no order. `names`, if given, holds the folded names of
   * all user properties that the message has: then shapes about other properties are not even looked at.
   */
  match(lookup: Lookup, found: (key: K) => void, names?: ReadonlySet<string>): void {
    if (!names || names.size >= this.#leads.size) {
      for (const shape of this.#shapes.values()) matchShape(shape, lookup, found);
      return;
    }
    this.#matchLead('', lookup, found);
    for (const name of names) if (name !== '') this.#matchLead(name, lookup, found);
  }

  #matchLead(lead: string, lookup: Lookup, found: (key: K) => void): void {
    const shapes = this.#leads.get(lead);
    if (shapes) for (const shape of shapes) matchShape(shape, lookup, found);
  }

  #shapeOf(wanted: readonly Wanted[]): Shape<K> {
    const name = JSON.stringify(wanted.map(({ scope, folded }) => [scope, folded]));
    let shape = this.#shapes.get(name);
    if (!shape) {
      const fields = wanted.map(({ scope, name, folded }) => ({ scope, name, folded }));
      shape = { name, fields, lead: this.#leadOf(fields), filters: new Map() };
      this.#shapes.set(name, shape);
      const sisters = this.#leads.get(shape.lead);
      if (sisters) sisters.add(shape);
      else this.#leads.set(shape.lead, new Set([shape]));
    }
    return shape;
  }

  /** The user property that the fewest shapes have as theirs; '' for shapes of system properties only. */
  #leadOf(fields: readonly Field[]): string {
    const shapesUnder = (name: string) => this.#leads.get(name)?.size ?? 0;
    const names = fields.filter(({ scope, folded }) => scope === 'user' && folded !== '').map(({ folded }) => folded);
    return names.sort((a, b) => shapesUnder(a) - shapesUnder(b))[0] ?? '';
  }

  #drop(shape: Shape<K>): void {
    this.#shapes.delete(shape.name);
    const sisters = this.#leads.get(shape.lead)!;
    sisters.delete(shape);
    if (sisters.size === 0) this.#leads.delete(shape.lead);
  }
}

function matchShape<K>(shape: Shape<K>, lookup: Lookup, found: (key: K) => void): void {
  const hash = messageHash(shape.fields, lookup);
  const keys = hash === undefined ? undefined : shape.filters.get(hash);
  if (keys) for (const key of keys) found(key);
}

/** One field is its own hash; several are joined so that no two lists of values look alike. */
function messageHash(fields: readonly Field[], lookup: Lookup): Hash | undefined {
  const first = hashOf(fields[0]!, lookup);
  if (fields.length === 1 || first === undefined) return first;
  let joined = part(first);
  for (let i = 1; i < fields.length; i++) {
    const next = hashOf(fields[i]!, lookup);
    if (next === undefined) return undefined;
    joined += part(next);
  }
  return joined;
}

function wantedHash(wanted: readonly Wanted[]): Hash | undefined {
  const values = new Map(wanted.map((field) => [`${field.scope}.${field.folded}`, field.value]));
  return messageHash(wanted, (scope, _name, folded) => values.get(`${scope}.${folded}`));
}

function hashOf({ scope, name, folded }: Field, lookup: Lookup): Hash | undefined {
  return hashable(lookup(scope, name, folded));
}

function part(hash: Hash): string {
  const text = String(hash);
  return `${kinds[typeof hash as keyof typeof kinds]}${text.length}:${text}`;
}

const kinds = { string: 's', number: 'n', bigint: 'n', boolean: 'b' };

/** The fields in a fixed order, so that equal sets of fields are the same shape. */
function wantedBy(filter: CorrelationFilter): Wanted[] {
  const wanted: Wanted[] = [];
  for (const [name, value] of Object.entries(filter.system ?? {})) {
    if (value !== undefined) wanted.push({ scope: 'sys', ...systemField(name), value });
  }
  for (const [name, value] of Object.entries(filter.properties ?? {})) {
    if (value !== undefined) wanted.push({ scope: 'user', name, folded: name.toLowerCase(), value });
  }
  if (wanted.length === 0) throw new Refusal('filter_invalid', 'A correlation filter needs at least one field');
  for (const { name, value } of wanted) if (value === null) throw unequal(name);
  return wanted.sort((a, b) => compareText(a.scope, b.scope) || compareText(a.folded, b.folded));
}

function systemField(name: string): { name: string; folded: string } {
  const known = systemProperties.get(name.toLowerCase())?.name;
  if (!fields.includes(known as CorrelationField) || known === undefined) {
    throw new Refusal('filter_invalid', `A correlation filter has no field ${name}; it has ${fields.join(', ')}`);
  }
  return { name: known, folded: known.toLowerCase() };
}

function unequal(name: string): Refusal {
  return new Refusal('filter_invalid', `A correlation filter cannot ask ${name} to be null, as null equals nothing`);
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}
