// The canonical event: CloudEvents 1.0 (https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md), checked.
// Everything that comes in, in whatever form, ends as a `CloudEvent`; what this file lets through is valid, so that no
// other room checks it again. A refusal names the attribute, and all faults of one event are named at once.
import { Refusal } from '../kit/refusal.ts';

export type ExtensionValue = string | number | boolean;

export type CloudEvent = {
  readonly id: string;
  readonly source: string;
  readonly type: string;
  /** When it happened; the time of arrival where the sender gave none. */
  readonly time: Date;
  readonly subject?: string;
  readonly datacontenttype?: string;
  readonly dataschema?: string;
  readonly extensions: Readonly<Record<string, ExtensionValue>>;
  /** Parsed JSON for JSON content types, text for text types, else bytes; undefined when there is none. */
  readonly data: unknown;
  /** The data byte for byte as it came, so that nothing is lost in re-encoding (say an integer above 2^53). */
  readonly raw?: Uint8Array;
};

export type EventLimits = {
  /** The data of one event, in bytes. */
  readonly maxDataBytes: number;
  /** One request with all its events, in bytes. */
  readonly maxBatchBytes: number;
  readonly maxBatchEvents: number;
  /** How deep arrays and objects may nest, the event itself included. */
  readonly maxDepth: number;
  readonly maxExtensions: number;
};

export const defaultLimits: EventLimits = {
  maxDataBytes: 1024 * 1024,
  maxBatchBytes: 8 * 1024 * 1024,
  maxBatchEvents: 4096,
  maxDepth: 64,
  maxExtensions: 64,
};

/** Attributes as a decoder found them, before anybody checked them. */
export type Attributes = Readonly<Record<string, unknown>>;

export type EventFault = { readonly attribute: string; readonly problem: string };

/** Lengths in UTF-16 units. The specification sets none; these keep a message's properties within what brokers carry. */
const longest: Readonly<Record<string, number>> = {
  id: 256,
  source: 1024,
  type: 256,
  subject: 1024,
  dataschema: 1024,
  datacontenttype: 256,
};
const LONGEST_EXTENSION = 4096;
const LONGEST_NAME = 64;
const OWN_ATTRIBUTES = new Set([
  'id',
  'source',
  'type',
  'specversion',
  'time',
  'subject',
  'datacontenttype',
  'dataschema',
]);

const ATTRIBUTE_NAME = /^[a-z0-9]+$/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: the specification forbids exactly these in attribute values.
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/;
const MEDIA_TYPE = /^[\w!#$&^.+-]+\/[\w!#$&^.+-]+(?:\s*;\s*[\w!#$&^.+-]+=(?:[\w!#$&^.+-]+|"[^"]*"))*$/;
const TIMESTAMP = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)$/i;
const ABSOLUTE_URI = /^[a-z][a-z0-9+.-]*:\S+$/i;

/** Makes an event of decoded attributes and data, or refuses (`event_invalid`) with every fault. */
export function makeEvent(
  attributes: Attributes,
  data: Pick<CloudEvent, 'data' | 'raw'>,
  now: Date,
  limits: EventLimits = defaultLimits,
): CloudEvent {
  const faults: EventFault[] = [];
  checkOwn(attributes, faults);
  const extensions = checkExtensions(attributes, limits, faults);
  if (data.raw !== undefined && data.raw.length > limits.maxDataBytes) throw tooLarge(data.raw.length, limits);
  const time = readTime(attributes.time, now, faults);
  if (faults.length > 0) throw invalid(faults);
  return { ...ownStrings(attributes), time, extensions, ...data };
}

/** The refusal that lists `faults`; its message says the first one in full. */
export function invalid(faults: readonly EventFault[]): Refusal {
  const words = faults.map(({ attribute, problem }) => `${attribute} ${problem}`).join('; ');
  return new Refusal('event_invalid', `The event is not valid: ${words}.`, {
    errors: faults.map(({ attribute, problem }) => ({ field: attribute, problem })),
  });
}

export function tooLarge(bytes: number, limits: EventLimits): Refusal {
  return new Refusal('too_large', `The data of an event has ${bytes} bytes; the limit is ${limits.maxDataBytes}.`, {
    limitBytes: limits.maxDataBytes,
  });
}

export function isJsonType(contentType: string): boolean {
  return /^[^;]*[/+]json\s*(?:;|$)/i.test(contentType);
}

export function isTextType(contentType: string): boolean {
  return /^\s*(?:text\/|application\/xml\b|[^;]*\+xml\b)/i.test(contentType);
}

function checkOwn(attributes: Attributes, faults: EventFault[]): void {
  if (attributes.specversion !== '1.0')
    faults.push({
      attribute: 'specversion',
      problem: attributes.specversion === undefined ? 'is missing' : 'must be 1.0',
    });
  for (const name of ['id', 'source', 'type']) {
    if (absent(attributes[name])) faults.push({ attribute: name, problem: 'is missing' });
  }
  for (const [attribute, limit] of Object.entries(longest)) {
    const problem = absent(attributes[attribute]) ? undefined : stringProblem(attributes[attribute], limit);
    if (problem !== undefined) faults.push({ attribute, problem });
  }
  checkForm(attributes, faults);
}

function checkForm({ source, dataschema, datacontenttype }: Attributes, faults: EventFault[]): void {
  if (typeof source === 'string' && /\s/.test(source))
    faults.push({ attribute: 'source', problem: 'must be a URI reference without blanks' });
  if (typeof dataschema === 'string' && !ABSOLUTE_URI.test(dataschema))
    faults.push({ attribute: 'dataschema', problem: 'must be an absolute URI' });
  if (typeof datacontenttype === 'string' && !MEDIA_TYPE.test(datacontenttype))
    faults.push({ attribute: 'datacontenttype', problem: 'must be a media type such as application/json' });
}

function checkExtensions(attributes: Attributes, limits: EventLimits, faults: EventFault[]) {
  const extensions: Record<string, ExtensionValue> = {};
  let count = 0;
  for (const attribute in attributes) {
    const value = attributes[attribute];
    if (OWN_ATTRIBUTES.has(attribute) || absent(value)) continue;
    const problem = nameProblem(attribute) ?? valueProblem(value);
    if (problem === undefined)
      extensions[attribute] = value as ExtensionValue; // valueProblem has just said so
    else faults.push({ attribute: attribute.slice(0, LONGEST_NAME), problem });
    if (++count === limits.maxExtensions + 1) {
      faults.push({ attribute: 'extensions', problem: `are more than ${limits.maxExtensions}` });
      break;
    }
  }
  return extensions;
}

function nameProblem(name: string): string | undefined {
  if (name.length > LONGEST_NAME) return `has a name of more than ${LONGEST_NAME} characters`;
  return ATTRIBUTE_NAME.test(name) ? undefined : 'is not a name of lower-case letters and digits';
}

function valueProblem(value: unknown): string | undefined {
  if (typeof value === 'boolean') return undefined;
  if (typeof value === 'number') {
    return Number.isInteger(value) && Math.abs(value) <= 2 ** 31 ? undefined : 'must be an integer of 32 bits';
  }
  return stringProblem(value, LONGEST_EXTENSION, true);
}

function stringProblem(value: unknown, limit: number, mayBeEmpty = false): string | undefined {
  if (typeof value !== 'string') return 'must be a string';
  if (value.length === 0) return mayBeEmpty ? undefined : 'must not be empty';
  if (value.length > limit) return `has ${value.length} characters; the limit is ${limit}`;
  if (CONTROL.test(value)) return 'must not contain control characters';
  return value.isWellFormed() ? undefined : 'is not well-formed Unicode';
}

function readTime(value: unknown, now: Date, faults: EventFault[]): Date {
  if (absent(value)) return now;
  const time = typeof value === 'string' && TIMESTAMP.test(value) ? Date.parse(value.toUpperCase()) : Number.NaN;
  if (Number.isNaN(time))
    faults.push({ attribute: 'time', problem: 'must be a timestamp such as 2026-11-22T08:30:00Z' });
  return new Date(time);
}

function ownStrings({ id, source, type, subject, datacontenttype, dataschema }: Attributes) {
  // checkOwn found no fault, so the required ones are strings, and the optional ones strings or absent.
  return {
    id: id as string,
    source: source as string,
    type: type as string,
    ...(absent(subject) ? {} : { subject: subject as string }),
    ...(absent(datacontenttype) ? {} : { datacontenttype: datacontenttype as string }),
    ...(absent(dataschema) ? {} : { dataschema: dataschema as string }),
  };
}

/** The JSON format treats an attribute that is null as one that is not there. */
function absent(value: unknown): value is undefined | null {
  return value === undefined || value === null;
}
