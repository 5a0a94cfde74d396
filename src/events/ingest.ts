// Ingest mappings turn whatever JSON an upstream system posts into events. They are declared in the config: a name (the
// last segment of `POST /v1/ingest/{name}`), a topic, and a pure function from the body to one event or several.
import { freshId } from '../kit/ids.ts';
import { isRecord } from '../kit/record.ts';
import { Refusal } from '../kit/refusal.ts';
import { type CloudEvent, defaultLimits, type EventLimits, type ExtensionValue, makeEvent } from './cloudevent.ts';
import { decodeUtf8, parseJson } from './json.ts';
import { relaxedToJson } from './relaxed.ts';

/** What a mapping fills in. Without `id` the request's `Idempotency-Key` serves, else a fresh one. */
export type EventDraft = {
  readonly type: string;
  readonly source?: string;
  readonly id?: string;
  readonly subject?: string;
  readonly time?: Date | string;
  readonly data?: unknown;
  readonly extensions?: Readonly<Record<string, ExtensionValue>>;
};

export type IngestMapping = {
  readonly name: string;
  readonly topic: string;
  /** Throws to refuse the body; what it says goes to the sender. */
  readonly map: (body: unknown) => EventDraft | readonly EventDraft[];
  /** Accept JSON with single quotes, as the original EventProducer sends it. */
  readonly relaxedJson?: boolean;
};

export type IngestRequest = { readonly body: Uint8Array; readonly idempotencyKey: string | undefined };

/** The events of one request to a mapping. Refuses what is no JSON, what the mapping refuses, and invalid events. */
export function applyMapping(
  mapping: IngestMapping,
  request: IngestRequest,
  now: Date,
  limits: EventLimits = defaultLimits,
): CloudEvent[] {
  const text = decodeUtf8(request.body);
  const body = parseJson(mapping.relaxedJson ? relaxedToJson(text) : text, limits.maxDepth);
  const drafts = [runMapping(mapping, body)].flat();
  if (drafts.length > limits.maxBatchEvents)
    throw new Refusal('too_large', `The mapping made ${drafts.length} events; the limit is ${limits.maxBatchEvents}.`);
  const key = request.idempotencyKey;
  return drafts.map((draft, index) => {
    const id = draft.id ?? (key === undefined ? freshId('evt', now.getTime()) : index === 0 ? key : `${key}/${index}`);
    return fromDraft(draft, { id, source: `/ingest/${mapping.name}` }, now, limits);
  });
}

function runMapping(mapping: IngestMapping, body: unknown) {
  try {
    return mapping.map(body);
  } catch (error) {
    if (error instanceof Refusal) throw error;
    const words = error instanceof Error ? error.message : String(error);
    throw new Refusal('event_invalid', `The mapping ${mapping.name} does not take this body: ${words}`, {}, error);
  }
}

/** Makes and checks an event out of a draft. The draft's own id and source win over `fallback`. */
export function fromDraft(
  draft: EventDraft,
  fallback: { readonly id: string; readonly source: string },
  now: Date,
  limits: EventLimits = defaultLimits,
): CloudEvent {
  const time = draft.time instanceof Date ? draft.time.toISOString() : draft.time;
  const attributes = {
    ...draft.extensions,
    specversion: '1.0',
    id: draft.id ?? fallback.id,
    source: draft.source ?? fallback.source,
    type: draft.type,
    subject: draft.subject,
    time,
    datacontenttype: draft.data === undefined ? undefined : 'application/json',
  };
  const raw = draft.data === undefined ? {} : { raw: Buffer.from(JSON.stringify(draft.data)) };
  return makeEvent(attributes, { data: draft.data, ...raw }, now, limits);
}

/**
 * The canonical event of the original Enterprise Notification sample, `{userid, message}` in any key case and with
 * single quotes if need be, as an event `legacy.broadcast` about that user. For `POST /v1/ingest/enterprise-notification`.
 */
export function enterpriseNotification(topic: string): IngestMapping {
  return { name: 'enterprise-notification', topic, relaxedJson: true, map: canonicalEvent };
}

function canonicalEvent(body: unknown): EventDraft {
  if (!isRecord(body)) throw new Error('it must be a JSON object');
  const fields = new Map(Object.entries(body).map(([name, value]) => [name.toLowerCase(), value]));
  const [userid, message] = ['userid', 'message'].map((name) => fields.get(name));
  if (typeof userid !== 'string' || userid === '') throw new Error('userid must be a non-empty string');
  if (typeof message !== 'string' || message === '') throw new Error('message must be a non-empty string');
  return { type: 'legacy.broadcast', subject: userid, data: { userid, message } };
}
