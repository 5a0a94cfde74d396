// Thousands of SQL filters at once. Most filters begin with a condition like `type = 'order.placed'`, alone or followed
// by AND. Such a filter lies in a map under that value, and a message meets only those filters whose value it has. The
// rest, and every filter whose property has another type in this message, is evaluated one by one.
//
// The result is exactly that of asking each filter: a first condition that is false ends an AND before anything could
// be a fault. (If it is unknown or a fault, the filter is evaluated: what follows it may have a say.)
import { spelled } from './compile.ts';
import { FilterFault } from './fault.ts';
import type { Filter } from './filter.ts';
import { type Hash, hashable } from './hash.ts';
import type { Lookup, Scope } from './lookup.ts';
import type { Literal, Node, Property } from './syntax.ts';

type Field = { readonly scope: Scope; readonly name: string; readonly folded: string };
type Guard = Field & { readonly type: 'string' | 'number'; readonly values: readonly Hash[] };
type Group<K> = {
  readonly field: Field;
  readonly type: Guard['type'];
  readonly all: Map<K, Filter>;
  readonly byValue: Map<Hash, Map<K, Filter>>;
};

/** Filters by keys of the caller's choice. In memory, for one topic; not safe to change while `match` runs. */
export class FilterIndex<K> {
  readonly #filters = new Map<K, Filter>();
  readonly #groups = new Map<string, Group<K>>();
  readonly #others = new Map<K, Filter>();

  get size(): number {
    return this.#filters.size;
  }

  /** A filter of the same key is replaced. */
  add(key: K, filter: Filter): void {
    this.remove(key);
    this.#filters.set(key, filter);
    const guard = guardOf(filter.tree);
    if (!guard) {
      this.#others.set(key, filter);
      return;
    }
    const group = this.#groupOf(guard);
    group.all.set(key, filter);
    for (const value of guard.values) {
      const filters = group.byValue.get(value);
      if (filters) filters.set(key, filter);
      else group.byValue.set(value, new Map([[key, filter]]));
    }
  }

  remove(key: K): boolean {
    const filter = this.#filters.get(key);
    if (!filter) return false;
    this.#filters.delete(key);
    const guard = guardOf(filter.tree);
    if (guard) this.#leave(key, guard);
    else this.#others.delete(key);
    return true;
  }

  /** Calls `matched` for every filter that is true of the message, and `faulted` for every one without a result. */
  match(lookup: Lookup, matched: (key: K) => void, faulted?: (key: K, fault: FilterFault) => void): void {
    evaluate(this.#others, lookup, matched, faulted);
    for (const group of this.#groups.values()) {
      const { scope, name, folded } = group.field;
      const value = lookup(scope, name, folded);
      const hash = fits(group.type, value) ? hashable(value) : undefined;
      const filters = hash === undefined ? group.all : group.byValue.get(hash);
      if (filters) evaluate(filters, lookup, matched, faulted);
    }
  }

  #groupOf(guard: Guard): Group<K> {
    const name = groupName(guard);
    let group = this.#groups.get(name);
    if (!group) {
      const field = { scope: guard.scope, name: guard.name, folded: guard.folded };
      group = { field, type: guard.type, all: new Map(), byValue: new Map() };
      this.#groups.set(name, group);
    }
    return group;
  }

  #leave(key: K, guard: Guard): void {
    const group = this.#groups.get(groupName(guard))!;
    group.all.delete(key);
    for (const value of guard.values) {
      const filters = group.byValue.get(value);
      filters?.delete(key);
      if (filters?.size === 0) group.byValue.delete(value);
    }
    if (group.all.size === 0) this.#groups.delete(groupName(guard));
  }
}

function evaluate<K>(
  filters: ReadonlyMap<K, Filter>,
  lookup: Lookup,
  matched: (key: K) => void,
  faulted: ((key: K, fault: FilterFault) => void) | undefined,
): void {
  for (const [key, filter] of filters) {
    const result = filter.test(lookup);
    if (result === true) matched(key);
    else if (faulted && result instanceof FilterFault) faulted(key, result);
  }
}

/** Names differ in spelling too: exact spelling counts where a message has both. */
function groupName({ scope, name, type }: Guard): string {
  return `${type} ${scope}.${name}`;
}

function fits(type: Guard['type'], value: unknown): boolean {
  return typeof value === type || (type === 'number' && typeof value === 'bigint');
}

/** The condition that must be true before anything else of the filter is looked at. */
function guardOf(tree: Node): Guard | undefined {
  const first = tree.kind === 'and' ? tree.terms[0]! : tree;
  if (first.kind === 'compare' && first.operator === '=') {
    const { left, right } = first;
    if (left.kind === 'property') return guard(left, [right]);
    return right.kind === 'property' ? guard(right, [left]) : undefined;
  }
  const list = first.kind === 'in' && !first.negated && first.operand.kind === 'property';
  return list ? guard(first.operand as Property, first.list) : undefined;
}

function guard(property: Property, wanted: readonly Node[]): Guard | undefined {
  const values = wanted.map((node) => (node.kind === 'literal' ? node.value : null));
  const type = values.every((value) => fits('string', value)) ? 'string' : 'number';
  if (!values.every((value: Literal['value']) => fits(type, value))) return undefined;
  const hashes = values.map(hashable).filter((hash) => hash !== undefined);
  return { ...spelled(property.scope, property.name), type, values: hashes };
}
