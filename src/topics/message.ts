// What goes into the log and what comes out of it. Gateways translate their wire forms to and from these types.

export type PropertyValue = string | number | bigint | boolean | Date | Uint8Array | null;

/** A message as a sender gives it. Times are absolute, durations in milliseconds. */
export type OutgoingMessage = {
  /** At most 128 characters; one is made up when it is missing. Duplicate detection goes by it. */
  readonly messageId?: string | undefined;
  readonly sessionId?: string | undefined;
  /** Messages of one key keep their order in a topic of several partitions. A session id counts as the key. */
  readonly partitionKey?: string | undefined;
  /** Into this partition, whatever the key says. */
  readonly intoPartition?: number | undefined;
  readonly correlationId?: string | undefined;
  readonly replyTo?: string | undefined;
  readonly replyToSessionId?: string | undefined;
  readonly to?: string | undefined;
  readonly subject?: string | undefined;
  readonly contentType?: string | undefined;
  readonly timeToLiveMs?: number | undefined;
  /** In the future: the message is kept aside until then. */
  readonly scheduledAt?: Date | undefined;
  readonly properties?: Readonly<Record<string, PropertyValue>> | undefined;
  readonly body: Uint8Array;
  /** How `body` is to be read when it is not the plain content, such as `amqp` for an encoded AMQP message. */
  readonly bodyFormat?: string | undefined;
};

/** A message as the log holds it. */
export type Message = OutgoingMessage & {
  readonly messageId: string;
  readonly topic: string;
  readonly partition: number;
  /** Unique in its topic; without gaps and in commit order in its partition. */
  readonly sequence: number;
  readonly enqueuedAt: Date;
  readonly expiresAt?: Date | undefined;
  /** Earlier unsuccessful deliveries to the subscription at hand: 0 at the first. */
  readonly deliveryCount: number;
  /** How often it was forwarded from one entity to another. */
  readonly hops?: number | undefined;
  /** The number it got where it was first sent, when it was forwarded since. */
  readonly originalSequence?: number | undefined;
  /** Why a rule of the subscription could not be evaluated on it. */
  readonly filterFault?: string | undefined;
  /** Path of the entity in which it died, once it was dead-lettered. */
  readonly deadLetterSource?: string | undefined;
  readonly deadLetterReason?: string | undefined;
  readonly deadLetterDescription?: string | undefined;
};

/** What the sender is told once its message is durable. A duplicate gets the number of the first one. */
export type Receipt = {
  readonly sequence: number;
  readonly partition: number;
  readonly duplicate: boolean;
  readonly enqueuedAt: Date;
};

/** Sequence numbers of partition p are p * 2^44 + 1, + 2, ...: unique in the topic, and exact in a double. */
export const PARTITION_SPAN = 2 ** 44;

export function partitionOf(sequence: number): number {
  return Math.floor(sequence / PARTITION_SPAN);
}
