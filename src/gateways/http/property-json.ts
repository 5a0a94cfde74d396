// Properties of messages in JSON. What JSON cannot say exactly is tagged: {"$long": "9007199254740993"}, {"$date": "2026-..."},
// {"$bytes": "base64"}.
import { type TSchema, Type } from 'typebox';
import { Refusal } from '../../kit/refusal.ts';
import type { PropertyValue } from '../../topics/message.ts';

export type JsonProperty =
  | string
  | number
  | boolean
  | null
  | { $long: string }
  | { $date: string }
  | { $bytes: string };

const tagged = (tag: string) => Type.Object({ [tag]: Type.String() }, { additionalProperties: false });

export const PropertySchema: TSchema = Type.Union(
  [Type.String(), Type.Number(), Type.Boolean(), Type.Null(), tagged('$long'), tagged('$date'), tagged('$bytes')],
  { description: 'A scalar, or `{"$long": "..."}`, `{"$date": "..."}`, `{"$bytes": "base64"}`.' },
);
export const PropertiesSchema = Type.Record(Type.String(), PropertySchema);

export function propertyToJson(value: PropertyValue): JsonProperty {
  if (typeof value === 'bigint') return isExact(value) ? Number(value) : { $long: String(value) };
  if (value instanceof Date) return { $date: value.toISOString() };
  if (value instanceof Uint8Array) return { $bytes: Buffer.from(value).toString('base64') };
  return value;
}

/** Whether a double, which is what JSON's readers make of a number, holds it. */
function isExact(value: bigint): boolean {
  return BigInt(Number(value)) === value && Number.isSafeInteger(Number(value));
}

export function propertiesToJson(properties: Readonly<Record<string, PropertyValue>>): Record<string, JsonProperty> {
  return Object.fromEntries(Object.entries(properties).map(([name, value]) => [name, propertyToJson(value)]));
}

/** `given` fits PropertiesSchema. Refuses what its tag does not allow, by its name. */
export function propertiesFromJson(given: Readonly<Record<string, unknown>>): Record<string, PropertyValue> {
  return Object.fromEntries(
    Object.entries(given).map(([name, value]) => [name, propertyFromJson(name, value as JsonProperty)]),
  );
}

function propertyFromJson(name: string, value: JsonProperty): PropertyValue {
  if (typeof value !== 'object' || value === null) return value;
  if ('$long' in value)
    return /^-?\d{1,19}$/.test(value.$long) ? BigInt(value.$long) : refuse(name, 'is no 64-bit integer');
  if ('$bytes' in value) return Buffer.from(value.$bytes, 'base64');
  const date = new Date(value.$date);
  return Number.isNaN(date.getTime()) ? refuse(name, 'is no date') : date;
}

function refuse(name: string, problem: string): never {
  throw new Refusal('bad_request', `The request is not valid: properties.${name} ${problem}.`, {
    errors: [{ field: `properties.${name}`, problem }],
  });
}
