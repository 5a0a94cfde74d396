// Notices into a channel of Teams by a workflow ("When a Teams webhook request is received"). A recipient that stands for
// the channel has `addresses.webhook`, the name of a webhook in the config: the address itself is a secret. Workflows take
// Adaptive Cards only, show no buttons that answer, and tell no id, so nothing is edited there. The older connectors
// answered 200 with an error in the body: it is read.
import type { Profile } from '../../people/recipient.ts';
import { type Answer, call } from '../call.ts';
import { ADAPTIVE_CARD_TYPE, toAdaptiveCard } from '../cards/adaptive.ts';
import { toText } from '../cards/text.ts';
import { inOrder, Pace } from '../pace.ts';
import type { Content, Post, Poster, Result } from '../poster.ts';
import { type Reference, unseenPlace } from '../references/reference.ts';

export type WebhookConnection = {
  /** Whoever knows it may post. */
  readonly url: string;
};

/** The numbers of the older connectors; those of workflows are those of the plan that they run in. */
const webhookLimits = {
  place: [
    { count: 4, withinMs: 1_000 },
    { count: 60, withinMs: 30_000 },
    { count: 100, withinMs: 3_600_000 },
    { count: 150, withinMs: 7_200_000 },
    { count: 1_800, withinMs: 86_400_000 },
  ],
  connection: [{ count: 4, withinMs: 1_000 }],
} as const;

const MOST_WEBHOOK_BYTES = 28 * 1024;

export class WebhookPoster implements Poster {
  readonly surface = 'webhook';
  readonly #connections: ReadonlyMap<string, WebhookConnection>;
  readonly #pace = new Pace(webhookLimits);

  constructor(connections: ReadonlyMap<string, WebhookConnection>) {
    this.#connections = connections;
  }

  likely(person: Profile): readonly Reference[] {
    const connection = person.addresses.webhook;
    if (connection === undefined || !this.#connections.has(connection)) return [];
    return [unseenPlace({ recipientId: person.id, channel: 'webhook', connection, place: connection })];
  }

  post(posts: readonly Post[]): Promise<readonly Result[]> {
    return inOrder(
      posts,
      ({ reference }) => reference.connection,
      async ({ reference, content }) => {
        const { connection, place } = reference;
        const webhook = this.#connections.get(connection);
        if (!webhook) return { kind: 'gone', cause: 'connection_removed' };
        const paced = await this.#pace.admit(connection, place);
        return paced ?? this.#pace.after(connection, place, await postOne(webhook, content));
      },
    );
  }

  /** Nothing has an id there. */
  async edit(edits: readonly unknown[]): Promise<readonly Result[]> {
    return edits.map(() => ({ kind: 'gone', cause: 'not_editable' }));
  }
}

async function postOne({ url }: WebhookConnection, content: Content): Promise<Result> {
  const body = JSON.stringify(messageOf(content));
  const bytes = Buffer.byteLength(body);
  if (bytes > MOST_WEBHOOK_BYTES) {
    const detail = `The message has ${bytes} bytes; a webhook takes ${MOST_WEBHOOK_BYTES}. Make the card smaller.`;
    return { kind: 'refused', cause: 'MessageSizeTooBig', detail };
  }
  const headers = { 'content-type': 'application/json; charset=utf-8' };
  return judge(await call({ method: 'POST', url, headers, body }));
}

/** `summary` is the text twin, `fallbackText` in the card as well. */
export function messageOf({ notice, decision, reader }: Content): object {
  const { card, id: noticeId } = notice;
  const content = toAdaptiveCard(card, { surface: 'link', noticeId, decision, reader });
  return {
    type: 'message',
    summary: toText(card, { decision, reader }),
    attachments: [{ contentType: ADAPTIVE_CARD_TYPE, contentUrl: null, content }],
  };
}

function judge({ status, text, cause, retryAfterMs }: Answer): Result {
  if (status === 0) return { kind: 'stopped', cause: cause ?? 'unreachable' };
  // `Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error 429 with ContextId ...`
  const told = /HTTP error (\d{3})/.exec(text)?.[1];
  const real = status === 200 && told !== undefined ? Number(told) : status;
  if (real >= 200 && real < 300) return { kind: 'posted', activityId: undefined, at: new Date() };
  const why = `http_${real}`;
  if (real === 429 || real === 408 || real >= 500) return { kind: 'retry', cause: why, retryAfterMs };
  if (real === 404 || real === 410) return { kind: 'gone', cause: why };
  // A signature in the address that is no longer good.
  if (real === 401 || real === 403) return { kind: 'stopped', cause: why };
  return { kind: 'refused', cause: why, detail: text.slice(0, 200) };
}
