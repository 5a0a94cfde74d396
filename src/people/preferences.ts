// What a person wants, and how that is decided for one notification. Everything here is pure.
//
// Several voices speak about one channel of one notification; the first that says anything decides:
//   1. the notification is mandatory            -> on
//   2. the organisation locked the category     -> what the organisation's default for the category says, else on
//   3. the person's setting for the category    -> as it says
//   4. the person's flag for the channel is off -> off   (the two flags of the original: mobile and conversation)
//   5. the organisation's default for the category
//   6. nobody said anything                     -> on
// Before 3 stands the condition (`when`) of the category, the person's own or else the organisation's: an event that it
// does not match reaches the person over no channel at all. A category that the person muted for a while is off
// everywhere but in the inbox.
import type { ChannelName, Urgency } from '../deliveries/channel.ts';
import { type Condition, compileCondition } from './condition.ts';
import { endOfQuiet, type QuietHours } from './quiet-hours.ts';

export type CategorySetting = Partial<Readonly<Record<ChannelName, boolean>>> & {
  /** Filter over the event: `type`, `source`, `subject`, `[data.amount]`. `1=1` lifts a condition of the organisation. */
  readonly when?: string;
  /** ISO 8601: until then nothing of the category disturbs. The inbox still gets it, and so does what is mandatory. */
  readonly mutedUntil?: string;
};

/** Where the assistant speaks to a person first, if they are reachable there. */
export const preferableSurfaces = ['directline', 'teams', 'slack'] as const;
export type PreferredConversation = (typeof preferableSurfaces)[number];

/** As the API shows it: the flags under the names that the original sample gave them, both on until switched off. */
export type Preferences = {
  readonly SendNotificationToMobileDevice: boolean;
  readonly SendNotificationToConversation: boolean;
  readonly categories: Readonly<Record<string, CategorySetting>>;
  /** What could disturb waits until they end: everything but the inbox, the urgent and the mandatory. */
  readonly quietHours?: QuietHours;
  /** Left out: where the person was seen last. */
  readonly preferredConversation?: PreferredConversation;
};

/** As it is stored: only what differs from the defaults. */
export type Settings = Partial<Preferences>;

/** What the organisation says about a category; its `defaults` hold for whoever did not choose. */
export type CategoryPolicy = {
  readonly defaults?: CategorySetting;
  /** People cannot choose otherwise. */
  readonly locked?: boolean;
};

/** Why a channel is on or off; the decision trace shows it. */
export type Reason = 'mandatory' | 'locked' | 'condition' | 'muted' | 'category' | 'flag' | 'organisation' | 'default';
export type Decision = { readonly channel: ChannelName; readonly on: boolean; readonly reason: Reason };

/** What is asked: one notification with its channels. */
export type Question = {
  readonly category: string;
  readonly channels: readonly ChannelName[];
  /** True: on every channel. A list: on these channels at least. */
  readonly mandatory?: boolean | readonly ChannelName[];
};

const flags: Partial<Record<ChannelName, 'SendNotificationToMobileDevice' | 'SendNotificationToConversation'>> = {
  mobile: 'SendNotificationToMobileDevice',
  conversation: 'SendNotificationToConversation',
};

export const defaultPreferences: Preferences = {
  SendNotificationToMobileDevice: true,
  SendNotificationToConversation: true,
  categories: {},
};

/** What the API shows for stored settings. */
export function preferencesOf(settings: Settings): Preferences {
  return { ...defaultPreferences, ...settings };
}

/** What is to be stored for chosen preferences: flags that are on and categories that say nothing are left out. */
export function settingsOf(preferences: Preferences): Settings {
  const categories = Object.entries(preferences.categories).filter(([, setting]) => Object.keys(setting).length > 0);
  return {
    ...(!preferences.SendNotificationToMobileDevice && { SendNotificationToMobileDevice: false }),
    ...(!preferences.SendNotificationToConversation && { SendNotificationToConversation: false }),
    ...(categories.length > 0 && { categories: Object.fromEntries(categories) }),
    ...(preferences.quietHours !== undefined && { quietHours: preferences.quietHours }),
    ...(preferences.preferredConversation !== undefined && {
      preferredConversation: preferences.preferredConversation,
    }),
  };
}

/** One decision per channel of the notification, in its order. `lookup` reads the event. */
export function decideChannels(
  question: Question,
  settings: Settings,
  policy: CategoryPolicy | undefined,
  lookup: Parameters<Condition['matches']>[0],
  now: Date = new Date(),
): Decision[] {
  const own = policy?.locked ? undefined : ownSetting(settings, question.category);
  const when = own?.when ?? policy?.defaults?.when;
  const matches = when === undefined || compileCondition(when).matches(lookup);
  return question.channels.map((channel) => {
    if (isMandatory(question, channel)) return { channel, on: true, reason: 'mandatory' };
    if (!matches) return { channel, on: false, reason: 'condition' };
    if (channel !== 'inbox' && isMuted(own, now)) return { channel, on: false, reason: 'muted' };
    return { channel, ...decide(channel, own, settings, policy) };
  });
}

/** Until when a delivery waits that was decided so; undefined: not at all. `timeZone` is that of the person's record. */
export function heldUntil(
  { channel, reason }: Decision,
  urgency: Urgency,
  { quietHours }: Settings,
  timeZone: string | undefined,
  now: Date,
): Date | undefined {
  if (quietHours === undefined || channel === 'inbox' || reason === 'mandatory' || urgency === 'high') return undefined;
  return endOfQuiet(quietHours, quietHours.timeZone ?? timeZone ?? 'UTC', now);
}

function decide(
  channel: ChannelName,
  own: CategorySetting | undefined,
  settings: Settings,
  policy: CategoryPolicy | undefined,
): Omit<Decision, 'channel'> {
  const byOrganisation = policy?.defaults?.[channel];
  if (policy?.locked) return { on: byOrganisation ?? true, reason: 'locked' };
  const chosen = own?.[channel];
  if (chosen !== undefined) return { on: chosen, reason: 'category' };
  const flag = flags[channel];
  if (flag !== undefined && settings[flag] === false) return { on: false, reason: 'flag' };
  if (byOrganisation !== undefined) return { on: byOrganisation, reason: 'organisation' };
  return { on: true, reason: 'default' };
}

function isMuted(own: CategorySetting | undefined, now: Date): boolean {
  return own?.mutedUntil !== undefined && Date.parse(own.mutedUntil) > now.getTime();
}

function isMandatory({ mandatory = false }: Question, channel: ChannelName): boolean {
  return typeof mandatory === 'boolean' ? mandatory : mandatory.includes(channel);
}

function ownSetting(settings: Settings, category: string): CategorySetting | undefined {
  const categories = settings.categories;
  return categories !== undefined && Object.hasOwn(categories, category) ? categories[category] : undefined;
}
