// What the operators do to values. In short:
//  - null is unknown, and unknown in gives unknown out; a fault in gives that fault out, the left one first.
//  - A number that is a safe integer counts as Int64, any other number as double; a bigint is an Int64. Int64 with
//    double gives double. Whole-number division cuts towards zero, as in C#.
//  - Int64 overflow and division of Int64 by zero are faults: a silent wrap-around would send messages to the wrong
//    place. Doubles follow IEEE 754 (infinity, NaN).
//  - Numbers compare by their mathematical value, whatever the types. Strings compare by UTF-16 units, case-sensitively.
//  - A date compares with a date, or with a string that holds an ISO 8601 date or time (UTC unless it says otherwise).
//  - Booleans and bytes have = and <> only. Values of different kinds do not compare: a fault, as C# would not bind it.
//  - string + string, string + number and string + boolean join.
import { FilterFault } from './fault.ts';
import type { PropertyValue } from './lookup.ts';
import type { ArithmeticOperator, CompareOperator } from './syntax.ts';

export type Value = PropertyValue | FilterFault;
export type Truth = boolean | null | FilterFault;
type Numeric = number | bigint;

/** Whether the value last handed up by an arithmetic operand is a double: 4 / 2.0 is one although JavaScript sees 2. */
export const last = { double: false };

export function compare(operator: CompareOperator, a: Value, b: Value, fault: FilterFault): Truth {
  if (a instanceof FilterFault) return a;
  if (b instanceof FilterFault) return b;
  if (a === null || b === null) return null;
  if (typeof a === 'string' && typeof b === 'string') return order(operator, a, b);
  if (isNumeric(a) && isNumeric(b)) return order(operator, a, b);
  if (a instanceof Date || b instanceof Date) return compareDates(operator, a, b, fault);
  return compareEqual(operator, a, b, fault);
}

function order(operator: CompareOperator, a: string | Numeric, b: string | Numeric): boolean {
  switch (operator) {
    case '=':
      return equal(a, b);
    case '<>':
      return !equal(a, b);
    case '<':
      return a < b;
    case '<=':
      return a <= b;
    case '>':
      return a > b;
    default:
      return a >= b;
  }
}

/** By value across number and bigint: 1n equals 1. */
function equal(a: string | Numeric, b: string | Numeric): boolean {
  return typeof a === typeof b ? a === b : a >= b && a <= b;
}

function compareDates(operator: CompareOperator, a: PropertyValue, b: PropertyValue, fault: FilterFault): Truth {
  const left = instant(a);
  const right = instant(b);
  return left === undefined || right === undefined ? fault : order(operator, left, right);
}

const isoTime = /^\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?)?(Z|[+-]\d\d:\d\d)?$/;

/** Milliseconds since 1970, or undefined for what is no time. */
export function instant(value: PropertyValue): number | undefined {
  if (value instanceof Date) return value.getTime();
  if (typeof value !== 'string') return undefined;
  const parts = isoTime.exec(value);
  if (!parts) return undefined;
  const time = Date.parse(value.length > 10 && parts[1] === undefined ? `${value}Z` : value);
  return Number.isNaN(time) ? undefined : time;
}

function compareEqual(operator: CompareOperator, a: PropertyValue, b: PropertyValue, fault: FilterFault): Truth {
  if (operator !== '=' && operator !== '<>') return fault;
  const equal = equalOfKind(a, b);
  return equal === undefined ? fault : equal === (operator === '=');
}

function equalOfKind(a: PropertyValue, b: PropertyValue): boolean | undefined {
  if (typeof a === 'boolean' && typeof b === 'boolean') return a === b;
  if (a instanceof Uint8Array && b instanceof Uint8Array) {
    return a.length === b.length && a.every((byte, i) => byte === b[i]);
  }
  return undefined;
}

export type ArithmeticFaults = {
  readonly types: FilterFault;
  readonly zero: FilterFault;
  readonly overflow: FilterFault;
  readonly length: FilterFault;
  readonly maxLength: number;
};

/** `double`: one of the two is a double. Leaves in `last.double` whether the result is one. */
export function calculate(
  operator: ArithmeticOperator,
  a: Value,
  b: Value,
  double: boolean,
  faults: ArithmeticFaults,
): Value {
  last.double = double;
  if (a instanceof FilterFault) return a;
  if (b instanceof FilterFault) return b;
  if (a === null || b === null) return null;
  if (isNumeric(a) && isNumeric(b))
    return double ? doubles(operator, Number(a), Number(b)) : wholes(operator, a, b, faults);
  return operator === '+' ? join(a, b, faults) : faults.types;
}

function doubles(operator: ArithmeticOperator, a: number, b: number): number {
  switch (operator) {
    case '+':
      return a + b;
    case '-':
      return a - b;
    case '*':
      return a * b;
    case '/':
      return a / b;
    default:
      return a % b;
  }
}

/** In doubles while that is exact, else in 64 bits. Adding 0 turns -0 into 0. */
function wholes(operator: ArithmeticOperator, a: Numeric, b: Numeric, faults: ArithmeticFaults): Value {
  if ((operator === '/' || operator === '%') && Number(b) === 0) return faults.zero;
  if (typeof a === 'number' && typeof b === 'number') {
    // Without its rest the dividend is a multiple: a / b itself may round up to the next whole number.
    const result = operator === '/' ? (a - (a % b)) / b : doubles(operator, a, b);
    if (Number.isSafeInteger(result)) return result + 0;
  }
  return within64(exact(operator, BigInt(a), BigInt(b)), faults.overflow);
}

function exact(operator: ArithmeticOperator, a: bigint, b: bigint): bigint {
  switch (operator) {
    case '+':
      return a + b;
    case '-':
      return a - b;
    case '*':
      return a * b;
    case '/':
      return a / b;
    default:
      return a % b;
  }
}

function within64(result: bigint, overflow: FilterFault): Value {
  if (BigInt.asIntN(64, result) !== result) return overflow;
  const plain = Number(result);
  return Number.isSafeInteger(plain) ? plain : result;
}

function join(a: PropertyValue, b: PropertyValue, faults: ArithmeticFaults): Value {
  last.double = false;
  if (typeof a !== 'string' && typeof b !== 'string') return faults.types;
  if (typeof a === 'object' || typeof b === 'object') return faults.types;
  const joined = `${a}${b}`;
  return joined.length > faults.maxLength ? faults.length : joined;
}

/** `+x` or `-x`; `last.double` says of x, and then of the result, whether it is a double. */
export function signed(operator: '+' | '-', value: Value, types: FilterFault, overflow: FilterFault): Value {
  if (value === null || value instanceof FilterFault) return value;
  if (!isNumeric(value)) return types;
  if (operator === '+') return value;
  if (typeof value === 'bigint') return within64(-value, overflow);
  return last.double ? -value : 0 - value;
}

export function isNumeric(value: PropertyValue): value is Numeric {
  return typeof value === 'number' || typeof value === 'bigint';
}
