// A request to `$cbs` or `$management`, and its reply: ordinary messages whose application properties hold the operation
// and the status. A reply carries the request's message id as its correlation id, in the very type it came in.
import { type AmqpValue, textEntries } from './decode.ts';
import * as to from './encode.ts';
import {
  AMQP_VALUE,
  APPLICATION_PROPERTIES,
  DATA,
  decodeSection,
  findSection,
  PROPERTIES,
  rawItems,
  splitSections,
} from './sections.ts';

export type WireRequest = {
  /** The encoded message id. */
  readonly messageId: Buffer;
  readonly replyTo: string | undefined;
  readonly properties: ReadonlyMap<string, AmqpValue>;
  readonly body: AmqpValue;
};

export type WireReply = {
  readonly properties: readonly (readonly [string, to.Encoded])[];
  readonly body: to.Encoded;
};

/** Refuses with `amqp_malformed` what is no message. */
export function readRequest(bytes: Buffer): WireRequest {
  const sections = splitSections(bytes);
  const section = findSection(sections, PROPERTIES);
  const fields = decodeSection(sections, PROPERTIES);
  const replyTo = Array.isArray(fields) ? fields[4] : undefined;
  return {
    messageId: rawItems(sections, section)[0] ?? to.nothing(),
    replyTo: typeof replyTo === 'string' ? replyTo : undefined,
    properties: new Map(textEntries(decodeSection(sections, APPLICATION_PROPERTIES))),
    body: decodeSection(sections, AMQP_VALUE) ?? decodeSection(sections, DATA),
  };
}

export function writeReply(request: WireRequest, reply: WireReply): Buffer {
  const none = to.nothing();
  const entries = reply.properties.flatMap(([name, value]) => [to.string(name), value]);
  return Buffer.concat([
    to.section(PROPERTIES, to.list([none, none, none, none, none, request.messageId])),
    to.section(APPLICATION_PROPERTIES, to.map(entries)),
    to.section(AMQP_VALUE, reply.body),
  ]);
}
