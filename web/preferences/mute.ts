// For how long somebody wants peace from a category. Pure; times are those of the person's own clock.
import type { Category, Preferences } from '../kit/api.ts';

export type Peace = { readonly name: string; readonly until: Date };

/** What is offered at this moment. Mornings are at eight. */
export function peaces(now: Date): readonly Peace[] {
  const monday = (8 - now.getDay()) % 7 || 7;
  return [
    { name: 'For an hour', until: new Date(now.getTime() + 3_600_000) },
    { name: 'Until tomorrow', until: morning(now, 1) },
    { name: 'Until Monday', until: morning(now, monday) },
    { name: 'For a week', until: morning(now, 7) },
  ];
}

/** Undefined when it is not muted (any more). */
export function mutedUntil(preferences: Preferences, category: Category, now: Date): Date | undefined {
  const until = preferences.categories[category.name]?.mutedUntil;
  return until !== undefined && Date.parse(until) > now.getTime() ? new Date(until) : undefined;
}

/** Without an end it is heard of again. */
export function mute(preferences: Preferences, category: Category, until: Date | undefined): Preferences {
  const { [category.name]: setting = {}, ...others } = preferences.categories;
  const { mutedUntil: _, ...rest } = setting;
  const next = until === undefined ? rest : { ...rest, mutedUntil: until.toISOString() };
  return {
    ...preferences,
    categories: Object.keys(next).length === 0 ? others : { ...others, [category.name]: next },
  };
}

function morning(now: Date, days: number): Date {
  return new Date(now.getFullYear(), now.getMonth(), now.getDate() + days, 8);
}
