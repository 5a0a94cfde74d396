// The condition language of the product: rules of subscriptions, `when` of notifications and of preferences. It is the
// SQL filter language of Azure Service Bus, three-valued: a filter matches only if it is true. A missing property is
// unknown, like null; unknown in gives unknown out, except that false AND unknown is false, true OR unknown is true,
// and IS NULL and EXISTS always know.
//
//   const filter = compileFilter("type = 'hr.employee.joined' AND [data.level] >= 3");
//   filter.matches(lookupIn({ type: 'hr.employee.joined', 'data.level': 4 }));   // true
import { type Context, compileTest, isConstant, noLookup, spelled, type Test } from './compile.ts';
import { FilterFault } from './fault.ts';
import type { Lookup, PropertyValue, Scope } from './lookup.ts';
import { parseFilter } from './parse.ts';
import { childrenOf, defaultLimits, type FilterLimits, type Node } from './syntax.ts';

export type UsedName = { readonly scope: Scope; readonly name: string };

export type CompileOptions = {
  /** Values for @names; the keys may have the @ or not, and are case-insensitive. */
  readonly parameters?: Readonly<Record<string, PropertyValue>>;
  readonly limits?: Partial<FilterLimits>;
};

/** A compiled filter. It keeps no state of messages: one filter serves any number of callers. */
export type Filter = {
  readonly text: string;
  readonly tree: Node;
  /** The properties that the text names, each once. `property(...)` may read others. */
  readonly usedNames: readonly UsedName[];
  /** Set when the filter gives the same for every message, like `1=1`. */
  readonly constant: boolean | null | undefined;
  /** null is unknown; a fault says why the filter has no result on this message. */
  test(lookup: Lookup): boolean | null | FilterFault;
  /** Whether it is true: unknown and faults are no. */
  matches(lookup: Lookup): boolean;
};

/** Throws Refusal `filter_invalid`; its `details.position` is the place in the text, from 0. */
export function compileFilter(text: string, options: CompileOptions = {}): Filter {
  const context = contextOf(text, options);
  const tree = parseFilter(text, context.limits);
  const test = compileTest(tree, context);
  const usedNames = namesIn([tree]);
  return { text, tree, usedNames, constant: constantOf(tree, test), test, matches: (lookup) => test(lookup) === true };
}

function constantOf(tree: Node, test: Test): Filter['constant'] {
  const result = isConstant(tree) ? test(noLookup) : undefined;
  return result instanceof FilterFault ? undefined : result;
}

export function contextOf(text: string, options: CompileOptions): Context {
  const parameters = new Map<string, PropertyValue>();
  for (const [name, value] of Object.entries(options.parameters ?? {})) {
    parameters.set(name.replace(/^@/, '').toLowerCase(), value);
  }
  return { text, parameters, limits: { ...defaultLimits, ...options.limits } };
}

/** The properties below the nodes, system properties in their one spelling. */
export function namesIn(trees: readonly Node[]): UsedName[] {
  const found = new Map<string, UsedName>();
  const visit = (node: Node): void => {
    if (node.kind === 'property') {
      const { scope, name, folded } = spelled(node.scope, node.name);
      found.set(`${scope}.${folded}`, found.get(`${scope}.${folded}`) ?? { scope, name });
    }
    for (const child of childrenOf(node)) visit(child);
  };
  for (const tree of trees) visit(tree);
  return [...found.values()];
}
