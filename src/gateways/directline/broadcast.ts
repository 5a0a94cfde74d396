// `BroadcastEvent`: how the original sample's function told the bot to tell somebody something. A service posts it with
// its key (as the sample did with the channel's secret), into whatever conversation; whom it concerns says its value. It
// becomes the event that it always was, on the topic of the mapping `enterprise-notification`: durable, once, and governed
// by what the person prefers. People cannot send it: a token of theirs is refused.
import { authorize, type Identity } from '../../access/rights.ts';
import { Refusal } from '../../kit/refusal.ts';

export type Broadcasts = {
  /** Where the events go: what the key must have the send right on. */
  readonly topic: string;
  /** The same `id` again is the same event. Returns the event's id. */
  readonly publish: (event: {
    readonly userId: string;
    readonly message: string;
    readonly id: string | undefined;
  }) => Promise<string>;
};

export function isBroadcastEvent(body: unknown): boolean {
  if (typeof body !== 'object' || body === null) return false;
  const { type, name } = body as { type?: unknown; name?: unknown };
  return type === 'event' && String(name).toLowerCase() === 'broadcastevent';
}

/** Refuses `right_missing`, `mapping_not_found`, `activity_invalid`, and what the mapping refuses. */
export async function takeBroadcast(
  { broadcasts }: { readonly broadcasts?: Broadcasts | undefined },
  identity: Identity,
  body: unknown,
): Promise<{ readonly id: string }> {
  if (!broadcasts)
    throw new Refusal(
      'mapping_not_found',
      'BroadcastEvent needs the ingest mapping enterprise-notification in the config.',
    );
  authorize(identity, 'send', `topic:${broadcasts.topic}`);
  const { id, value } = body as { id?: unknown; value?: unknown };
  const fields = new Map(
    Object.entries(typeof value === 'object' && value !== null ? value : {}).map(([name, each]) => [
      name.toLowerCase(),
      each,
    ]),
  );
  const text = (name: string) => {
    const given = fields.get(name);
    if (typeof given === 'string' && given !== '') return given;
    throw new Refusal('activity_invalid', `A BroadcastEvent needs value.UserId and value.Message: ${name} is missing.`);
  };
  const [userId, message] = [text('userid'), text('message')];
  return {
    id: await broadcasts.publish({ userId, message, id: typeof id === 'string' && id !== '' ? id : undefined }),
  };
}
