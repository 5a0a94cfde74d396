// One comparison of the filter language, as a form can show it: a field, a comparison, a value. Whatever else a condition
// says stays text, which the form shows as it is.

export type FieldKind = 'number' | 'text';
export type Comparison = { readonly field: string; readonly operator: Operator; readonly value: string };

export const operators = ['>', '>=', '<', '<=', '=', '<>', 'like'] as const;
export type Operator = (typeof operators)[number];

/** `[data.amount] >= 500`, `type = 'hr.left'`, `[data.text] like '%budget%'`: undefined for anything else. */
export function parseComparison(text: string): Comparison | undefined {
  const match = text.match(
    /^\s*(?:\[([^[\]]+)\]|([A-Za-z_][\w.]*))\s*(>=|<=|<>|!=|=|>|<|like\b)\s*(-?\d+(?:\.\d+)?|'(?:[^']|'')*')\s*$/i,
  );
  if (!match) return undefined;
  const [, quoted, bare, sign, literal = ''] = match;
  const operator = sign === '!=' ? '<>' : (sign?.toLowerCase() as Operator); // true: the pattern lists the operators
  const value = literal.startsWith("'") ? literal.slice(1, -1).replaceAll("''", "'") : literal;
  if (operator !== 'like') return { field: quoted ?? bare ?? '', operator, value };
  const inner = value.match(/^%([^%_[\]]*)%$/)?.[1];
  return inner === undefined ? undefined : { field: quoted ?? bare ?? '', operator, value: inner };
}

/** The filter text. `kind` is what the field holds; without it a value that reads as a number is one. */
export function printComparison({ field, operator, value }: Comparison, kind?: FieldKind): string {
  const name = /^[A-Za-z_]\w*$/.test(field) ? field : `[${field}]`;
  if (operator === 'like') return `${name} like '%${quote(value)}%'`;
  const isNumber = kind === undefined ? /^-?\d+(\.\d+)?$/.test(value) : kind === 'number';
  return `${name} ${operator} ${isNumber ? value : `'${quote(value)}'`}`;
}

/** Why the comparison cannot be used yet; undefined when it can. */
export function lacking({ field, value, operator }: Comparison, kind?: FieldKind): string | undefined {
  if (field.trim() === '') return 'Choose what to look at';
  if (value.trim() === '') return 'Enter a value';
  if (kind === 'number' && !/^-?\d+(\.\d+)?$/.test(value)) return 'Enter a number, such as 500';
  if (operator === 'like' && /[%_[\]]/.test(value)) return 'Leave out the signs % _ [ ]';
  return undefined;
}

function quote(value: string): string {
  return value.replaceAll("'", "''");
}

/** The condition that always holds: how a person lifts their organisation's. */
export const ALWAYS = '1=1';
