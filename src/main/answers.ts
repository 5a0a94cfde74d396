// Decisions, with what they need of other rooms: the broker to answer the backend, and the inboxes to show what was
// decided.
import { Decisions, type DecisionsDeps } from '../assistant/decisions/decisions.ts';
import { markInbox } from '../inbox/mark-inbox.ts';
import type { InboxStream } from '../inbox/stream.ts';
import { touchInboxes } from '../inbox/touch.ts';
import type { Database } from '../kit/database.ts';
import type { Broker } from '../topics/broker.ts';

export type AnswersDeps = Pick<DecisionsDeps, 'emit' | 'pollMs' | 'run'> & {
  readonly database: Database;
  readonly broker: Pick<Broker, 'publish' | 'browse' | 'topic'>;
  readonly inbox: InboxStream;
};

const PAGE = 500;

/** Not started yet: others may want to listen first. */
export function openDecisions({ database, broker, inbox, emit, pollMs, run }: AnswersDeps): Decisions {
  const decisions = new Decisions({
    database,
    emit,
    pollMs,
    run,
    publish: async (entity, message) => void (await broker.publish(entity, [message])),
    wasPublished: (entity, messageId, since) => wasPublished(broker, entity, messageId, since),
  });
  decisions.onDecided(async ({ decision, notices }) => {
    await touchInboxes({ database, stream: inbox }, notices, 'settled');
    // Whoever has answered has read it, wherever that was.
    const own = decision.by && notices.find(({ recipientId }) => recipientId === decision.by!.id);
    if (own) await markInbox({ database, stream: inbox }, own.recipientId, { ids: [own.noticeId] }, 'read');
  });
  return decisions;
}

/** Looks through what the topic got since then. That is little: it is asked only after a crash or an outage. */
async function wasPublished(
  broker: AnswersDeps['broker'],
  entity: string,
  messageId: string,
  since: Date,
): Promise<boolean> {
  const { partitions } = broker.topic(entity);
  for (let partition = 0; partition < partitions; partition++) {
    for (let before = Number.POSITIVE_INFINITY; ; ) {
      const messages = await broker.browse(entity, { before, partition, limit: PAGE });
      if (messages.some((message) => message.messageId === messageId)) return true;
      const oldest = messages.at(-1);
      if (!oldest || oldest.enqueuedAt < since) break;
      before = oldest.sequence;
    }
  }
  return false;
}
