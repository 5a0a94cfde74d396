// What a channel is to the dispatcher: something that takes claimed deliveries and says what became of each.
// The hub, the assistant and the mail are channels; the inbox needs none, because its row is there already.

export const channelNames = ['inbox', 'mobile', 'conversation', 'email'] as const;
export type ChannelName = (typeof channelNames)[number];

export const urgencies = ['low', 'normal', 'high'] as const;
export type Urgency = (typeof urgencies)[number];

/** A delivery that this worker holds by a lease. Its `id` is the idempotency key towards the outside. */
export type ClaimedDelivery = {
  readonly id: string;
  readonly noticeId: string;
  readonly recipientId: string;
  readonly channel: ChannelName;
  readonly endpoint: string | null;
  readonly urgency: Urgency;
  /** 1 for the first claim, higher for each later one: the fence of the settlement. */
  readonly attempt: number;
  /** Attempts before this one that count against the limit. */
  readonly failures: number;
  /** The first time that it was due: its age counts from here. */
  readonly plannedFor: Date;
  readonly dueAt: Date;
};

/**
 * What came of one attempt. `cause` is a short stable code that dead letters are grouped and redriven by; `detail` is
 * for a human and carries no address and no content.
 * `down` is about the channel, not about this delivery: nothing can be sent now, so the attempt does not count and the
 * lane pauses. With `alarm` a human must act (the credentials are wrong).
 * `paced`: nothing was sent, because the endpoint takes no more for now; it is given back until then and does not count.
 */
export type Outcome =
  | { readonly kind: 'delivered'; readonly providerId: string | undefined }
  | {
      readonly kind: 'retry';
      readonly cause: string;
      readonly retryAfterMs: number | undefined;
      readonly detail?: string | undefined;
    }
  | { readonly kind: 'paced'; readonly cause: string; readonly retryAfterMs: number }
  | { readonly kind: 'gone'; readonly cause: string; readonly detail?: string | undefined }
  | { readonly kind: 'refused'; readonly cause: string; readonly detail?: string | undefined }
  | {
      readonly kind: 'down';
      readonly cause: string;
      readonly detail?: string | undefined;
      readonly alarm?: boolean | undefined;
      readonly retryAfterMs?: number | undefined;
    };

/** `deliver` answers with one outcome per delivery, in their order. If it throws, every one of them is retried. */
export type Channel = {
  readonly name: ChannelName;
  deliver(batch: readonly ClaimedDelivery[]): Promise<readonly Outcome[]>;
};
