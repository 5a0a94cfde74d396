// Conditions of people and audiences, in the filter language of subscriptions. The same few texts come back with every
// event, so compiled ones are kept; the number is bounded because people write them.
import { compileFilter, type Filter } from '../topics/filter/filter.ts';

export type Condition = Filter;

const MAX_KEPT = 10_000;
const kept = new Map<string, Filter>();

/** Compiles `text`, or returns what it compiled to before. Throws `filter_invalid` with the position. */
export function compileCondition(text: string): Condition {
  const known = kept.get(text);
  if (known !== undefined) return known;
  const filter = compileFilter(text);
  if (kept.size >= MAX_KEPT) kept.clear();
  kept.set(text, filter);
  return filter;
}
