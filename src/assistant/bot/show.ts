// Shows a notice once more, where a person asked for it: as it would be posted, and edited like what was posted.
import type { Database } from '../../kit/database.ts';
import { freshId } from '../../kit/ids.ts';
import { recordPosted } from '../posted.ts';
import type { Content, Poster } from '../poster.ts';
import type { Place, Reference } from '../references/reference.ts';
import { referencesOf } from '../references/references.ts';

/** False: the place takes nothing now. */
export type Shower = (place: Place, content: Content) => Promise<boolean>;

export function openShower(database: Database, posters: readonly Poster[]): Shower {
  return async (place, content) => {
    const poster = posters.find(({ surface }) => surface === place.channel);
    const reference = await referenceOf(database, place);
    if (!poster || !reference) return false;
    const deliveryId = freshId('shw');
    const [result] = await poster.post([{ reference, content, deliveryId }]);
    if (result?.kind !== 'posted') return false;
    const { activityId, at: postedAt } = result;
    await recordPosted(database, [{ ...place, noticeId: content.notice.id, deliveryId, activityId, postedAt }]);
    return true;
  };
}

async function referenceOf(
  database: Database,
  { recipientId, channel, connection, place }: Place,
): Promise<Reference | undefined> {
  const known = (await referencesOf(database, [recipientId])).get(recipientId) ?? [];
  return known.find((each) => each.channel === channel && each.connection === connection && each.place === place);
}
