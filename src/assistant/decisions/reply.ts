// The answer for the backend that asked: a CloudEvent as a message, with the correlation id of the request, for the topic
// or queue that the request named. Its message id is derived from the question, so that a repetition is a duplicate.
import { makeEvent } from '../../events/cloudevent.ts';
import { toMessage } from '../../events/to-message.ts';
import { derivedId } from '../../kit/ids.ts';
import { decisionOf, type QuestionRow } from './question.ts';

const ANSWER_TYPE = 'carillon.answer';

export type Reply = {
  readonly entity: string;
  readonly message: ReturnType<typeof toMessage> & { readonly messageId: string };
};

/** Undefined when nobody said where answers go. `name` is that of the person who decided. */
export function replyOf(row: QuestionRow, name: string | undefined): Reply | undefined {
  const entity = row.reply_to === null ? '' : entityOf(row.reply_to);
  if (entity === '') return undefined;
  const { event, id } = eventOf(row, name);
  const message = toMessage(event);
  return {
    entity,
    message: {
      ...message,
      messageId: id,
      // As is the custom of request and reply: the correlation id of the request, else its message id.
      ...optional('correlationId', row.correlation_id ?? row.request_id),
      ...optional('sessionId', row.reply_session),
      properties: {
        ...message.properties,
        request: row.event_id,
        notification: row.notification,
        state: row.state,
        ...optional('decision', row.action_id),
      },
    },
  };
}

function eventOf(row: QuestionRow, name: string | undefined) {
  const id = derivedId('ans', row.id);
  const { state, by, at, actionId, label, reason, inputs, surface } = decisionOf(row, name, row.settled_at!);
  const data = {
    request: row.event_id,
    topic: row.topic,
    notification: row.notification,
    state,
    decision: actionId ?? null,
    ...(label !== undefined && { label }),
    ...(by && { by }),
    at: at!.toISOString(),
    ...(reason !== undefined && { reason }),
    ...(inputs && { inputs }),
    ...(surface !== undefined && { surface }),
  };
  const attributes = {
    specversion: '1.0',
    id,
    source: `carillon/${row.notification}`,
    type: ANSWER_TYPE,
    subject: row.event_id,
    time: row.settled_at!.toISOString(),
    datacontenttype: 'application/json',
  };
  const raw = Buffer.from(JSON.stringify(data));
  return { id, event: makeEvent(attributes, { data, raw }, row.settled_at!) };
}

/** `sb://host/name`, `amqps://host/name` or `/name` is the entity `name`, as clients of Service Bus write them. */
export function entityOf(replyTo: string): string {
  return replyTo.replace(/^[a-z]+:\/\/[^/]*/i, '').replace(/^\/+|\/+$/g, '');
}

function optional<K extends string>(key: K, value: string | null): { readonly [P in K]?: string } {
  return (value === null ? {} : { [key]: value }) as { readonly [P in K]?: string }; // true: the one key, or none
}
