// What the built-in assistant hears, from whichever surface: one turn of one person, and the way to answer it.
import type { Activity } from '../conversations/activity.ts';
import type { Content } from '../poster.ts';
import type { Surface } from '../references/reference.ts';

export type Heard = {
  /** Who speaks, as the surface verified it. */
  readonly recipientId: string;
  readonly surface: Surface;
  readonly activity: Activity;
  /** Posts an activity into the same conversation; tells its id where there is one. */
  readonly say: (activity: Activity) => Promise<string | undefined>;
  /** Shows a notice with its buttons there; false where that is not possible now. */
  readonly show: (content: Content) => Promise<boolean>;
};

export type Hear = (heard: Heard) => Promise<void>;
