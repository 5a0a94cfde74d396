// What a person's preferences come to, cell by cell. The server decides with the same rules (src/people/preferences.ts);
// here they tell the page what a switch shows and what is written when it is turned.
import type { Category, CategorySetting, ChannelName, Preferences } from '../kit/api.ts';

export type Choice = {
  readonly on: boolean;
  /** Who decided: nobody can turn what is `mandatory` or `locked`. */
  readonly by: 'mandatory' | 'locked' | 'person' | 'flag' | 'organisation' | 'default';
};

export type Flag = 'SendNotificationToMobileDevice' | 'SendNotificationToConversation';

export const flagOf: { readonly [channel in ChannelName]?: Flag } = {
  mobile: 'SendNotificationToMobileDevice',
  conversation: 'SendNotificationToConversation',
};

export function choiceOf(preferences: Preferences, category: Category, channel: ChannelName): Choice {
  const organisation = category.defaults?.[channel];
  if (category.mandatoryChannels?.includes(channel)) return { on: true, by: 'mandatory' };
  if (category.locked) return { on: organisation ?? true, by: 'locked' };
  const chosen = preferences.categories[category.name]?.[channel];
  if (chosen !== undefined) return { on: chosen, by: 'person' };
  const flag = flagOf[channel];
  if (flag && !preferences[flag]) return { on: false, by: 'flag' };
  if (organisation !== undefined) return { on: organisation, by: 'organisation' };
  return { on: true, by: 'default' };
}

/** The preferences after a switch was turned. Says nothing where the person then agrees with what holds anyway. */
export function choose(preferences: Preferences, category: Category, channel: ChannelName, on: boolean): Preferences {
  const { [channel]: _, ...rest } = preferences.categories[category.name] ?? {};
  const silent = withSetting(preferences, category.name, rest);
  if (choiceOf(silent, category, channel).on === on) return silent;
  return withSetting(preferences, category.name, { ...rest, [channel]: on });
}

/** An empty condition lifts the person's own. */
export function chooseWhen(preferences: Preferences, category: Category, when: string): Preferences {
  const { when: _, ...rest } = preferences.categories[category.name] ?? {};
  return withSetting(preferences, category.name, when === '' ? rest : { ...rest, when });
}

function withSetting(preferences: Preferences, name: string, setting: CategorySetting): Preferences {
  const { [name]: _, ...others } = preferences.categories;
  const categories = Object.keys(setting).length === 0 ? others : { ...others, [name]: setting };
  return { ...preferences, categories };
}
