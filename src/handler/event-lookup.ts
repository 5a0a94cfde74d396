// How conditions see an event: `type`, `source`, `subject`, `id`, `time`, extensions by their names, and values inside
// the data by their path: `[data.amount]`, `[data.account.owner]`, `[data.lines.0.sum]`.
import type { CloudEvent } from '../events/cloudevent.ts';
import type { Lookup, PropertyValue } from '../topics/filter/lookup.ts';

const DATA = 'data.';
const MAX_PATHS = 10_000;
/** Paths by the name that a condition uses; conditions are few and come back with every event. */
const paths = new Map<string, readonly string[]>();

export function lookupOfEvent(event: CloudEvent): Lookup {
  return (scope, name, folded) => {
    if (scope !== 'user') return undefined;
    if (folded.startsWith(DATA)) return valueAt(event.data, pathOf(name));
    return attributeOf(event, folded);
  };
}

function attributeOf(event: CloudEvent, name: string): PropertyValue | undefined {
  switch (name) {
    case 'type':
    case 'source':
    case 'id':
    case 'time':
    case 'subject':
    case 'datacontenttype':
    case 'dataschema':
      return event[name];
    default:
      // Names of extensions are lower-case by the specification.
      return Object.hasOwn(event.extensions, name) ? event.extensions[name] : undefined;
  }
}

function pathOf(name: string): readonly string[] {
  let path = paths.get(name);
  if (path === undefined) {
    path = name.slice(DATA.length).split('.');
    if (paths.size >= MAX_PATHS) paths.clear();
    paths.set(name, path);
  }
  return path;
}

function valueAt(data: unknown, path: readonly string[]): PropertyValue | undefined {
  let value: unknown = data;
  for (const step of path) {
    if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return undefined;
    value = member(value, step);
  }
  return isScalar(value) ? value : undefined;
}

/** Names are case-insensitive in the filter language; the exact spelling goes first. */
function member(value: object, name: string): unknown {
  if (Object.hasOwn(value, name)) return (value as Record<string, unknown>)[name]; // true: hasOwn has just said so
  const low = name.toLowerCase();
  const key = Object.keys(value).find((each) => each.toLowerCase() === low);
  return key === undefined ? undefined : (value as Record<string, unknown>)[key]; // true: a key of it
}

function isScalar(value: unknown): value is string | number | boolean | null {
  return value === null || typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean';
}
