// Going through an Adaptive Card that parse.ts has cleaned: every object in it is a thing of the schema.
import type { AdaptiveCard } from '../../../kit/card.ts';
import { isRecord } from '../../../kit/record.ts';

export type Thing = Readonly<Record<string, unknown>>;

/** Makes the card anew: `change` gets each thing with its parts already changed; undefined leaves it out. */
export function changeThings(
  card: AdaptiveCard,
  change: (thing: Thing, before: Thing) => Thing | undefined,
): AdaptiveCard | undefined {
  const parts = Object.entries(card).flatMap(([name, value]) => {
    const changed = changeValue(value, change);
    return changed === undefined ? [] : [[name, changed] as const];
  });
  return change(Object.fromEntries(parts), card);
}

function changeValue(value: unknown, change: (thing: Thing, before: Thing) => Thing | undefined): unknown {
  if (Array.isArray(value)) {
    const all = value.map((each) => changeValue(each, change));
    return all.filter((each) => each !== undefined);
  }
  return isRecord(value) ? changeThings(value, change) : value;
}

/** All things in a thing, itself first; a card that another one shows, and fallbacks, are not gone into. */
export function* thingsIn(thing: Thing): Generator<Thing> {
  yield thing;
  for (const [name, value] of Object.entries(thing)) {
    if (
      name === 'fallback' ||
      name === 'data' ||
      name === 'requires' ||
      (name === 'card' && thing.type === 'Action.ShowCard')
    )
      continue;
    for (const each of Array.isArray(value) ? value : [value]) if (isRecord(each)) yield* thingsIn(each);
  }
}
