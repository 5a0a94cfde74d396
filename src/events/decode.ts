// The three modes in which a CloudEvent travels over HTTP
// (https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md): binary (attributes in
// `ce-` headers, data in the body), structured (all in one JSON object), batched (a JSON array of such objects).
import { isRecord } from '../kit/record.ts';
import { Refusal } from '../kit/refusal.ts';
import {
  type CloudEvent,
  defaultLimits,
  type EventFault,
  type EventLimits,
  invalid,
  isJsonType,
  isTextType,
  makeEvent,
} from './cloudevent.ts';
import { decodeUtf8, elementSpans, memberSpan, parseJson, type Span } from './json.ts';

/** Header names in lower case, as Node gives them. */
export type Headers = Readonly<Record<string, string | readonly string[] | undefined>>;

export type Decoded = { readonly mode: 'binary' | 'structured' | 'batched'; readonly events: readonly CloudEvent[] };

/** The events of one request in whichever mode its headers say. */
export function decodeEvents(
  headers: Headers,
  body: Uint8Array,
  now: Date,
  limits: EventLimits = defaultLimits,
): Decoded {
  const contentType = String(headers['content-type'] ?? '');
  if (!/^\s*application\/cloudevents/i.test(contentType)) {
    return { mode: 'binary', events: [decodeBinary(headers, body, now, limits)] };
  }
  checkStructuredType(contentType);
  const text = decodeUtf8(body);
  const parsed = parseJson(text, limits.maxDepth);
  if (/^\s*application\/cloudevents-batch/i.test(contentType)) {
    return { mode: 'batched', events: decodeBatch(text, parsed, now, limits) };
  }
  return { mode: 'structured', events: [decodeStructured(text, parsed, { start: 0, end: text.length }, now, limits)] };
}

function checkStructuredType(contentType: string): void {
  const [type, ...parameters] = contentType.toLowerCase().split(';');
  if (!/^\s*application\/cloudevents(-batch)?\+json\s*$/.test(type!))
    throw new Refusal(
      'unsupported_media_type',
      `${type!.trim()} is not supported; send application/cloudevents+json or application/cloudevents-batch+json.`,
    );
  const charset = parameters.map((text) => /^\s*charset\s*=\s*"?([^"]*)"?\s*$/.exec(text)?.[1]).find(Boolean);
  if (charset !== undefined && !['utf-8', 'utf8', 'us-ascii'].includes(charset.trim()))
    throw new Refusal('unsupported_media_type', `The charset ${charset} is not supported; send UTF-8.`);
}

function decodeBatch(text: string, parsed: unknown, now: Date, limits: EventLimits): CloudEvent[] {
  if (!Array.isArray(parsed)) throw new Refusal('event_invalid', 'A batch must be a JSON array of events.');
  if (parsed.length > limits.maxBatchEvents)
    throw new Refusal('too_large', `The batch has ${parsed.length} events; the limit is ${limits.maxBatchEvents}.`);
  const spans = elementSpans(text);
  return parsed.map((element, index) => decodeElement(text, element, spans[index]!, index, now, limits));
}

function decodeElement(text: string, element: unknown, span: Span, index: number, now: Date, limits: EventLimits) {
  try {
    return decodeStructured(text, element, span, now, limits);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    throw new Refusal(error.code, `Event ${index} of the batch: ${error.message}`, { ...error.details, index }, error);
  }
}

function decodeStructured(text: string, parsed: unknown, span: Span, now: Date, limits: EventLimits): CloudEvent {
  if (!isRecord(parsed)) throw new Refusal('event_invalid', 'An event must be a JSON object.');
  const { data, data_base64: base64, ...attributes } = parsed;
  if (base64 !== undefined && data !== undefined)
    throw invalid([{ attribute: 'data_base64', problem: 'cannot stand beside data' }]);
  const type = typeof attributes.datacontenttype === 'string' ? attributes.datacontenttype : 'application/json';
  if (base64 !== undefined && base64 !== null)
    return makeEvent(attributes, bytesData(decodeBase64(base64), type, limits), now, limits);
  if (data === undefined) return makeEvent(attributes, { data: undefined }, now, limits);
  if (typeof data === 'string' && !isJsonType(type))
    return makeEvent(attributes, { data, raw: Buffer.from(data) }, now, limits);
  const where = memberSpan(text, span, 'data')!; // the parsed object has the member, so the text has it
  const withType = { ...attributes, datacontenttype: attributes.datacontenttype ?? 'application/json' };
  return makeEvent(withType, { data, raw: Buffer.from(text.slice(where.start, where.end)) }, now, limits);
}

function decodeBase64(value: unknown): Buffer {
  if (typeof value !== 'string' || !/^[A-Za-z0-9+/]*={0,2}$/.test(value) || value.length % 4 !== 0)
    throw invalid([{ attribute: 'data_base64', problem: 'must be a base64 string' }]);
  return Buffer.from(value, 'base64');
}

/** What bytes of a content type mean: parsed JSON, text, or the bytes themselves. */
export function bytesData(raw: Uint8Array, contentType: string | undefined, limits: EventLimits) {
  if (contentType === undefined) return { data: raw, raw };
  if (isJsonType(contentType))
    return { data: parseJson(decodeUtf8(raw, 'The data'), limits.maxDepth, 'The data'), raw };
  const foreign = /charset\s*=\s*"?(?!utf-?8|us-ascii)/i.test(contentType);
  return { data: isTextType(contentType) && !foreign ? decodeUtf8(raw, 'The data') : raw, raw };
}

function decodeBinary(headers: Headers, body: Uint8Array, now: Date, limits: EventLimits): CloudEvent {
  // Without a prototype: a header may be called ce-__proto__, and then it must be seen and refused.
  const attributes: Record<string, unknown> = Object.create(null);
  const faults: EventFault[] = [];
  let found = false;
  for (const header in headers) {
    if (!header.startsWith('ce-')) continue;
    found = true;
    const value = decodeHeader(String(headers[header]));
    if (value === undefined) faults.push({ attribute: header, problem: 'is not valid percent-encoded UTF-8' });
    else attributes[header.slice(3)] = value;
  }
  if (!found) throw notAnEvent(headers['content-type']);
  if ('datacontenttype' in attributes)
    faults.push({ attribute: 'ce-datacontenttype', problem: 'is what content-type says' });
  if (faults.length > 0) throw invalid(faults);
  const contentType = headers['content-type'] === undefined ? undefined : String(headers['content-type']);
  if (contentType !== undefined) attributes.datacontenttype = contentType;
  if (body.length === 0) return makeEvent(attributes, { data: undefined }, now, limits);
  return makeEvent(attributes, bytesData(body, contentType, limits), now, limits);
}

function notAnEvent(contentType: unknown): Refusal {
  return new Refusal(
    'event_invalid',
    `The request is not a CloudEvent (content-type ${contentType === undefined ? 'is missing' : String(contentType).slice(0, 100)}): send ce-specversion, ce-id, ce-source and ce-type headers, or application/cloudevents+json, or application/cloudevents-batch+json.`,
  );
}

/**
 * Section 3.1.3.2 of the HTTP binding: quotes off, then one round of percent-decoding. Node hands header bytes over as
 * Latin-1, so unescaped UTF-8, which some senders put there, is read as what it is. Undefined if the bytes are not UTF-8.
 */
function decodeHeader(value: string): string | undefined {
  const unquoted = value.length > 1 && value.startsWith('"') && value.endsWith('"') ? unquote(value) : value;
  if (PLAIN.test(unquoted)) return unquoted;
  const bytes = Buffer.from(
    unquoted.replace(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
    'latin1',
  );
  try {
    return strictUtf8.decode(bytes);
  } catch {
    return undefined; // the caller reports it, with the header's name
  }
}

const PLAIN = /^[ -$&-~]*$/;
const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function unquote(value: string): string {
  return value.slice(1, -1).replace(/\\(.)/g, '$1');
}
