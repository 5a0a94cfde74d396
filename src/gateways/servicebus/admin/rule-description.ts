// Rules of a subscription in their XML form.
import { Refusal } from '../../../kit/refusal.ts';
import { child, childText, type Element, escapeXml, tag, textTag } from '../../../kit/xml.ts';
import { CORRELATION_FIELDS, type Rule, type RuleFilter } from '../../../topics/entities/rule.ts';
import type { PropertyValue } from '../../../topics/message.ts';
import { correlationFilter, sqlFilter } from '../amqp/rules.ts';
import { describe } from './description.ts';

/** In the order of CORRELATION_FIELDS. */
const NAMES = ['CorrelationId', 'MessageId', 'To', 'ReplyTo', 'Label', 'SessionId', 'ReplyToSessionId', 'ContentType'];

/** `name` is the one of the path; the description's own is used where there is no path, as for a default rule. */
export function readRuleDescription(description: Element, name: string): Rule {
  const action = child(description, 'Action');
  const expression = action && typeOf(action) !== 'EmptyRuleAction' ? childText(action, 'SqlExpression') : undefined;
  return {
    name,
    filter: readFilter(child(description, 'Filter')),
    ...(expression === undefined ? {} : { action: expression }),
  };
}

function typeOf(element: Element): string {
  const type = element.attributes.get('type') ?? '';
  return type.slice(type.indexOf(':') + 1);
}

function readFilter(filter: Element | undefined): RuleFilter {
  if (!filter) return { type: 'true' };
  const type = typeOf(filter);
  if (type === 'TrueFilter') return { type: 'true' };
  if (type === 'FalseFilter') return { type: 'false' };
  if (type === 'SqlFilter') return readSql(filter);
  if (type !== 'CorrelationFilter')
    throw new Refusal('filter_invalid', `There is no filter type "${type.slice(0, 50)}".`);
  const texts = CORRELATION_FIELDS.map((field, i) => [field, childText(filter, NAMES[i]!)] as const);
  return correlationFilter(texts, readPairs(child(filter, 'Properties')));
}

function readSql(filter: Element): RuleFilter {
  const expression = childText(filter, 'SqlExpression');
  if (expression === undefined) throw new Refusal('filter_invalid', 'The SQL filter has no expression.');
  const pairs = readPairs(child(filter, 'Parameters'));
  const plain = sqlFilter(expression);
  if (pairs.length === 0 || plain.type !== 'sql') return plain;
  return { type: 'sql', expression, parameters: Object.fromEntries(pairs) };
}

function readPairs(element: Element | undefined): (readonly [string, PropertyValue])[] {
  return (element?.children ?? []).map((pair) => {
    const value = child(pair, 'Value');
    return [childText(pair, 'Key') ?? '', value ? readValue(value) : null] as const;
  });
}

function readValue(element: Element): PropertyValue {
  const [type, text] = [typeOf(element), element.text.trim()];
  const read = readers.get(type);
  if (!read) return element.text;
  const value = read(text);
  if (value === undefined) throw new Refusal('filter_invalid', `"${text.slice(0, 50)}" is no value of type ${type}.`);
  return value;
}

const booleans = new Map([
  ['true', true],
  ['1', true],
  ['false', false],
  ['0', false],
]);

// Types and texts are the client's, and may be called like what every object has.
const readers = new Map<string, (text: string) => PropertyValue | undefined>([
  ['int', readInteger],
  ['short', readInteger],
  ['byte', readInteger],
  ['long', readInteger],
  ['double', readDouble],
  ['float', readDouble],
  ['decimal', readDouble],
  ['boolean', (text) => booleans.get(text)],
  ['dateTime', (text) => (Number.isNaN(Date.parse(text)) ? undefined : new Date(text))],
]);

/** `bigint` only where a number would lose digits. */
function readInteger(text: string): number | bigint | undefined {
  if (!/^[+-]?\d{1,19}$/.test(text)) return undefined;
  if (Number.isSafeInteger(Number(text))) return Number(text);
  const value = BigInt(text.replace('+', ''));
  return BigInt.asIntN(64, value) === value ? value : undefined;
}

/** Finite ones: nothing equals the others in a filter. */
function readDouble(text: string): number | undefined {
  const value = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) ? Number(text) : Number.NaN;
  return Number.isFinite(value) ? value : undefined;
}

export function printRuleDescription(rule: Rule): string {
  const action = rule.action
    ? tag('Action', printSql(rule.action, ''), 'i:type="SqlRuleAction"')
    : '<Action i:type="EmptyRuleAction"></Action>';
  return describe('RuleDescription', [
    printFilter(rule.filter),
    action,
    textTag('CreatedAt', (rule.createdAt ?? new Date(0)).toISOString()),
    textTag('Name', rule.name),
  ]);
}

function printFilter(filter: RuleFilter): string {
  if (filter.type === 'true') return tag('Filter', printSql('1=1', ''), 'i:type="TrueFilter"');
  if (filter.type === 'false') return tag('Filter', printSql('1=0', ''), 'i:type="FalseFilter"');
  if (filter.type === 'sql')
    return tag(
      'Filter',
      printSql(filter.expression, printPairs('Parameters', filter.parameters)),
      'i:type="SqlFilter"',
    );
  const texts = CORRELATION_FIELDS.map((field, i) => textTag(NAMES[i]!, filter[field]));
  return tag('Filter', texts.join('') + printPairs('Properties', filter.properties), 'i:type="CorrelationFilter"');
}

function printSql(expression: string, parameters: string): string {
  return textTag('SqlExpression', expression) + textTag('CompatibilityLevel', 20) + parameters;
}

function printPairs(name: string, pairs: Readonly<Record<string, PropertyValue>> | undefined): string {
  const entries = Object.entries(pairs ?? {});
  if (entries.length === 0) return '';
  const items = entries.map(([key, value]) => tag('KeyValueOfstringanyType', textTag('Key', key) + printValue(value)));
  return tag(name, items.join(''));
}

/** The JavaScript client cuts five characters off the type, and knows these five types only. */
function printValue(value: PropertyValue): string {
  const attributes = (type: string) => `i:type="d6p1:${type}" xmlns:d6p1="http://www.w3.org/2001/XMLSchema"`;
  const of = (type: string, text: string) => tag('Value', escapeXml(text), attributes(type));
  if (typeof value === 'number') {
    const isInt = Number.isInteger(value) && Math.abs(value) < 2 ** 31;
    return of(isInt ? 'int' : 'double', String(value));
  }
  if (typeof value === 'bigint') return of('double', String(value));
  if (typeof value === 'boolean') return of('boolean', String(value));
  if (value instanceof Date) return of('dateTime', value.toISOString());
  return of('string', value instanceof Uint8Array ? Buffer.from(value).toString('base64') : String(value ?? ''));
}
