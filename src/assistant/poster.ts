// What a surface is to the `conversation` channel: something that posts notices into places and edits what it posted.
// Direct Line, Teams, Slack and workflow webhooks are posters.
import type { Notice } from '../inbox/notice.ts';
import type { Profile } from '../people/recipient.ts';
import type { Decision, Reader } from './cards/decision.ts';
import type { Capture, Reference, Surface } from './references/reference.ts';

/** A notice as it stands now: what every surface renders in its own way. */
export type Content = {
  readonly notice: Notice;
  readonly decision?: Decision | undefined;
  /** For whom dates are written. */
  readonly reader?: Reader | undefined;
};

/** `deliveryId` is the same at every attempt: surfaces that can, use it to post once. */
export type Post = { readonly reference: Reference; readonly content: Content; readonly deliveryId: string };

/** `postedAt` is when it was posted: an edit stays at that place of the conversation. */
export type Edit = {
  readonly reference: Reference;
  readonly content: Content;
  readonly activityId: string;
  readonly postedAt: Date;
};

/**
 * What came of a post or an edit. `blocked` and `gone` are about the place, so the next one is tried. `paced`: nothing
 * was sent, the limits of the service say when it may be. `stopped`: the connection as a whole does not work (its
 * credentials are wrong, the service is away); a human may have to act.
 */
export type Result =
  | {
      readonly kind: 'posted';
      readonly activityId: string | undefined;
      readonly at: Date;
      /** Where it was posted, when the place was opened for it. */
      readonly opened?: Capture | undefined;
    }
  | { readonly kind: 'blocked' | 'gone' | 'refused'; readonly cause: string; readonly detail?: string | undefined }
  | { readonly kind: 'paced'; readonly retryAfterMs: number }
  | {
      readonly kind: 'retry' | 'stopped';
      readonly cause: string;
      readonly detail?: string | undefined;
      readonly retryAfterMs?: number | undefined;
    };

export type Poster = {
  readonly surface: Surface;
  /**
   * Places where a person who has none here may be reached all the same, by what is known of them. A place that has yet
   * to be opened has an empty `place`.
   */
  likely?(person: Profile): readonly Reference[];
  /** One result per post, in their order. */
  post(posts: readonly Post[]): Promise<readonly Result[]>;
  edit(edits: readonly Edit[]): Promise<readonly Result[]>;
};

/** Where else a person may be reached, beside the places that are known: the state of those says more. */
export function likelyPlaces(posters: Iterable<Poster>, person: Profile, known: readonly Reference[]): Reference[] {
  const likely = [...posters].flatMap((poster) => poster.likely?.(person) ?? []);
  return likely.filter(
    (one) => !known.some(({ channel, connection }) => channel === one.channel && connection === one.connection),
  );
}
