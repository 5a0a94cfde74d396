// Property values as keys of a map.
import type { PropertyValue } from './lookup.ts';

export type Hash = string | number | bigint | boolean;

/** A primitive that is equal for equal values and different for others; undefined for what equals nothing. */
export function hashable(value: PropertyValue | undefined): Hash | undefined {
  switch (typeof value) {
    case 'boolean':
    case 'undefined':
      return value;
    case 'string':
      return value.charCodeAt(0) === 0 ? `\u0000string ${value}` : value;
    case 'number':
      return number(value);
    case 'bigint':
      return Number.isSafeInteger(Number(value)) ? Number(value) : value;
    default:
      return value === null ? undefined : marked(value);
  }
}

/** Whole numbers beyond 2^53 as bigint, as an Int64 of the same value is; NaN equals nothing. */
function number(value: number): number | bigint | undefined {
  if (Number.isNaN(value)) return undefined;
  return Number.isInteger(value) && !Number.isSafeInteger(value) ? BigInt(value) : value;
}

/** Marked by a first character that strings do not keep. */
function marked(value: Date | Uint8Array): string {
  return value instanceof Date
    ? `\u0000date ${value.getTime()}`
    : `\u0000bytes ${Buffer.from(value).toString('base64')}`;
}
