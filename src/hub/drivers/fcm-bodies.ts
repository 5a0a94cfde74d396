// What is sent to FCM for each device: the message as it was rendered, with its token in front and what the neutral options add behind.
import { Bytes, copyBytes } from '../bytes.ts';
import { shortId } from './apns.ts';
import type { PushList, PushOutcome } from './driver.ts';

export type FcmPlan = {
  readonly android: Readonly<Record<string, unknown>>;
  readonly collapseId: string | undefined;
};

/**
 * The bodies of pushes: their messages, with the token of the device in front. What is added to a message, and where, is the same
 * for all of one form: it is found out with the first.
 */
export class FcmBodies {
  readonly #plan: FcmPlan;
  readonly #list: PushList;
  /** By the form: what stands behind the members of each message; undefined: each has to be read. */
  readonly #added = new Map<object, Bytes | undefined>();
  /** Those that were read, by index. */
  readonly #own = new Map<number, Bytes>();
  /** Of the payload that was read last: of a native send it is everybody's. */
  #rest: { readonly start: number; readonly text: string | PushOutcome } | undefined;

  constructor(plan: FcmPlan, list: PushList) {
    this.#plan = plan;
    this.#list = list;
  }

  /** To be called before a body is asked for. Why it is of no use, if it is. */
  prepare(index: number): PushOutcome | undefined {
    if (this.#addedTo(index) !== undefined && isPlain(this.#list, index)) return undefined;
    const list = this.#list;
    const rest = this.#restOf(index);
    if (typeof rest !== 'string') return rest;
    const address = JSON.stringify(list.bytes.slice(list.addressStart(index), list.addressEnd(index)));
    this.#own.set(index, Bytes.of(`{"message":{"token":${address}${rest}`));
    return undefined;
  }

  /** What follows the token. */
  #restOf(index: number): string | PushOutcome {
    const list = this.#list;
    const start = list.payloadStart(index);
    if (this.#rest?.start === start) return this.#rest.text;
    const payload = list.bytes.slice(start, list.payloadEnd(index));
    const collapseId = list.collapseId(index) ?? this.#plan.collapseId;
    const text = cutOpen({ ...this.#plan, collapseId }, payload);
    this.#rest = { start, text };
    const form = list.form(index);
    if (form !== undefined && typeof text === 'string' && !this.#added.has(form))
      this.#added.set(form, addedTo(payload, text));
    return text;
  }

  bytesOf(index: number): number {
    const own = this.#own.get(index);
    if (own !== undefined) return own.length;
    const list = this.#list;
    const message = list.payloadEnd(index) - list.payloadStart(index) - beforeMembers - behindMembers;
    return (
      opening.length + list.addressEnd(index) - list.addressStart(index) + 2 + message + this.#addedTo(index)!.length
    );
  }

  write(index: number, out: Bytes, at: number): void {
    const own = this.#own.get(index);
    if (own !== undefined) copyBytes(own, 0, own.length, out, at);
    else this.#writePlain(index, out, at);
  }

  #writePlain(index: number, out: Bytes, at: number): void {
    const list = this.#list;
    copyBytes(opening, 0, opening.length, out, at);
    let end = at + opening.length;
    copyBytes(list.bytes, list.addressStart(index), list.addressEnd(index), out, end);
    end += list.addressEnd(index) - list.addressStart(index);
    copyBytes(between, 0, between.length, out, end);
    end += between.length;
    const [from, to] = [list.payloadStart(index) + beforeMembers, list.payloadEnd(index) - behindMembers];
    copyBytes(list.bytes, from, to, out, end);
    const added = this.#addedTo(index)!;
    copyBytes(added, 0, added.length, out, end + to - from);
  }

  #addedTo(index: number): Bytes | undefined {
    const form = this.#list.form(index);
    return form === undefined ? undefined : this.#added.get(form);
  }
}

/** Its token is JSON as it is, and it is the plan that says what it replaces. */
function isPlain(list: PushList, index: number): boolean {
  if (list.collapseId(index) !== undefined) return false;
  const { buffer } = list.bytes;
  const end = list.addressEnd(index);
  for (let i = list.addressStart(index); i < end; i += 1) {
    const byte = buffer[i]!;
    if (byte < 0x20 || byte === 0x22 || byte === 0x5c) return false;
  }
  return true;
}

const opening = Bytes.of('{"message":{"token":"');
const between = Bytes.of('",');
/** `{"message":{` and `}}`. */
const beforeMembers = 12;
const behindMembers = 2;

/** What comes behind the members of the message in `rest`, if these stand there as they came. */
function addedTo(payload: string, rest: string): Bytes | undefined {
  const members = payload.slice(beforeMembers, -behindMembers);
  const isPlain = payload === `{"message":{${members}}}` && members !== '' && rest.startsWith(`,${members}`);
  return isPlain ? Bytes.of(rest.slice(1 + members.length)) : undefined;
}

/** A payload is `{"message":{...}}` (or a bare `{...}`); what the caller says wins over the neutral options. */
function cutOpen(plan: FcmPlan, payload: string): string | PushOutcome {
  let envelope: { message?: Record<string, unknown> } | null;
  try {
    envelope = JSON.parse(payload) as typeof envelope;
  } catch {
    return { kind: 'refused', cause: 'INVALID_PAYLOAD', detail: 'The payload is not JSON.' };
  }
  if (typeof envelope !== 'object' || envelope === null)
    return { kind: 'refused', cause: 'INVALID_PAYLOAD', detail: 'The payload is no JSON object.' };
  const { message: inner, ...around } = envelope;
  const message: Record<string, unknown> = inner ?? around;
  const { token: _token, topic: _topic, condition: _condition, ...kept } = message;
  const android = { ...plan.android, ...(message.android as object | undefined) };
  const whole = { ...kept, ...(Object.keys(android).length === 0 ? {} : { android }) };
  if (plan.collapseId !== undefined && message.notification !== undefined) collapse(whole, plan.collapseId);
  const text = JSON.stringify(whole);
  const outer = inner === undefined || Object.keys(around).length === 0 ? '}' : `,${JSON.stringify(around).slice(1)}`;
  return (text === '{}' ? '}' : `,${text.slice(1)}`) + outer;
}

/**
 * What is shown replaces what was shown under the same name. Not `collapse_key`, unless the caller wants it: of a device that
 * is away Firebase keeps four of those, and which messages of a fifth are lost nobody knows.
 */
function collapse(message: Record<string, unknown>, id: string): void {
  const android = (message.android ?? {}) as { readonly notification?: object };
  message.android = { ...android, notification: { tag: id, ...android.notification } };
  const apns = (message.apns ?? {}) as { readonly headers?: object };
  message.apns = { ...apns, headers: { 'apns-collapse-id': shortId(id, 64), ...apns.headers } };
}
