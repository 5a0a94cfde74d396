// Rules as they are given, stored and shown. How they are evaluated: matcher.ts.
import type { PropertyValue } from '../message.ts';

export type CorrelationFilter = {
  readonly type: 'correlation';
  readonly correlationId?: string;
  readonly messageId?: string;
  readonly to?: string;
  readonly replyTo?: string;
  readonly subject?: string;
  readonly sessionId?: string;
  readonly replyToSessionId?: string;
  readonly contentType?: string;
  readonly properties?: Readonly<Record<string, PropertyValue>>;
};

export type RuleFilter =
  | { readonly type: 'true' }
  | { readonly type: 'false' }
  | { readonly type: 'sql'; readonly expression: string; readonly parameters?: Readonly<Record<string, PropertyValue>> }
  | CorrelationFilter;

export type Rule = {
  readonly name: string;
  readonly filter: RuleFilter;
  /** An SQL action: `SET sys.To = 'a'; REMOVE b`. */
  readonly action?: string | undefined;
  readonly createdAt?: Date | undefined;
};

export const DEFAULT_RULE: Rule = { name: '$Default', filter: { type: 'true' } };

export const CORRELATION_FIELDS = [
  'correlationId',
  'messageId',
  'to',
  'replyTo',
  'subject',
  'sessionId',
  'replyToSessionId',
  'contentType',
] as const;

/** The JSON form keeps what JSON cannot say: dates, bytes and 64-bit integers. */
export function filterToJson(filter: RuleFilter): string {
  return JSON.stringify(filter, function (this: Record<string, unknown>, key, value: unknown) {
    const raw = this[key];
    if (typeof raw === 'bigint') return { $int: String(raw) };
    if (raw instanceof Date) return { $date: raw.getTime() };
    if (raw instanceof Uint8Array) return { $bytes: Buffer.from(raw).toString('base64') };
    return value;
  });
}

/** `stored` is what the jsonb column gave back, already parsed. */
export function filterFromJson(stored: unknown): RuleFilter {
  // Only filterToJson writes the column, so its shape is a RuleFilter's but for the three wrapped kinds of value.
  return revive(stored) as RuleFilter;
}

function revive(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if ('$int' in value) return BigInt(String(value.$int));
  if ('$date' in value) return new Date(Number(value.$date));
  if ('$bytes' in value) return Buffer.from(String(value.$bytes), 'base64');
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, revive(part)]));
}
