// The syntax tree of filters and actions. `at` is the place in the text, from 0. Conditions and values share one type,
// because parentheses may hold either; the parser has checked that each stands where it may.
import { Refusal } from '../../kit/refusal.ts';
import type { Scope } from './lookup.ts';

export type ArithmeticOperator = '+' | '-' | '*' | '/' | '%';
export type CompareOperator = '=' | '<>' | '<' | '<=' | '>' | '>=';

/** `double` tells 2.0 from 2: a JavaScript number does not. */
export type Literal = {
  readonly kind: 'literal';
  readonly value: string | number | bigint | boolean | null;
  readonly double: boolean;
  readonly at: number;
};
export type Property = { readonly kind: 'property'; readonly scope: Scope; readonly name: string; readonly at: number };
/** `property(name)`, with the name computed. */
export type ComputedProperty = { readonly kind: 'computed'; readonly name: Node; readonly at: number };

export type Node =
  | Literal
  | Property
  | ComputedProperty
  | { readonly kind: 'parameter'; readonly name: string; readonly at: number }
  | { readonly kind: 'newid'; readonly at: number }
  | { readonly kind: 'sign'; readonly operator: '+' | '-'; readonly operand: Node; readonly at: number }
  | {
      readonly kind: 'arithmetic';
      readonly operator: ArithmeticOperator;
      readonly left: Node;
      readonly right: Node;
      readonly at: number;
    }
  | {
      readonly kind: 'compare';
      readonly operator: CompareOperator;
      readonly left: Node;
      readonly right: Node;
      readonly at: number;
    }
  | { readonly kind: 'and' | 'or'; readonly terms: readonly Node[]; readonly at: number }
  | { readonly kind: 'not'; readonly operand: Node; readonly at: number }
  | {
      readonly kind: 'in';
      readonly operand: Node;
      readonly list: readonly Node[];
      readonly negated: boolean;
      readonly at: number;
    }
  | {
      readonly kind: 'like';
      readonly operand: Node;
      readonly pattern: Node;
      readonly escape: Node | undefined;
      readonly negated: boolean;
      readonly at: number;
    }
  | {
      readonly kind: 'null';
      readonly operand: Property | ComputedProperty;
      readonly negated: boolean;
      readonly at: number;
    }
  | { readonly kind: 'exists'; readonly operand: Property | ComputedProperty; readonly at: number };

export type NodeOf<K extends Node['kind']> = Extract<Node, { kind: K }>;

export type Statement =
  | { readonly kind: 'set'; readonly target: Property; readonly value: Node; readonly at: number }
  | { readonly kind: 'remove'; readonly target: Property; readonly at: number };

/** The nodes directly below a node, in the order in which the text has them. */
export function childrenOf(node: Node): readonly Node[] {
  switch (node.kind) {
    case 'literal':
    case 'property':
    case 'parameter':
    case 'newid':
      return [];
    case 'computed':
      return [node.name];
    case 'arithmetic':
    case 'compare':
      return [node.left, node.right];
    case 'and':
    case 'or':
      return node.terms;
    case 'in':
      return [node.operand, ...node.list];
    case 'like':
      return node.escape ? [node.operand, node.pattern, node.escape] : [node.operand, node.pattern];
    default:
      return [node.operand];
  }
}

/** What the language allows; the defaults are those of Azure Service Bus where it states one. */
export type FilterLimits = {
  /** UTF-16 units of text. */
  readonly maxLength: number;
  /** Levels of the tree; runs of AND and of OR are one level. */
  readonly maxDepth: number;
  /** SET and REMOVE statements of one action. */
  readonly maxStatements: number;
  /** UTF-16 units of a string that an expression makes. */
  readonly maxValueLength: number;
};

export const defaultLimits: FilterLimits = {
  maxLength: 1024,
  maxDepth: 128,
  maxStatements: 32,
  maxValueLength: 32_768,
};

/** The refusal of a text: says what is wrong where. */
export function invalid(sentence: string, text: string, position: number): Refusal {
  const rest = text.slice(position, position + 24);
  const near = rest === '' ? 'at the end' : `at character ${position + 1}, near "${rest}"`;
  return new Refusal('filter_invalid', `${sentence} (${near})`, { position });
}
