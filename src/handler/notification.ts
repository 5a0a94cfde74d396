// A notification is the definition, in code, of what to tell whom when an event matches. This file holds what authors of
// definitions see, and checks a set of definitions before the handler runs them.
import { type CardPolicy, defaultPolicy } from '../assistant/cards/policy.ts';
import { type ChannelName, channelNames, type Urgency, urgencies } from '../deliveries/channel.ts';
import type { CloudEvent } from '../events/cloudevent.ts';
import type { Card } from '../kit/card.ts';
import { Refusal } from '../kit/refusal.ts';
import type { Audience } from '../people/audience.ts';
import { type Condition, compileCondition } from '../people/condition.ts';
import { isCategoryName, parseCategorySetting } from '../people/parse-preferences.ts';
import type { CategoryPolicy } from '../people/preferences.ts';
import type { Profile } from '../people/recipient.ts';

/** An event whose data the author knows. Nobody has checked the data: a definition that throws refuses the event. */
export type EventOf<Data> = Omit<CloudEvent, 'data'> & { readonly data: Data };

export type Notification<Data = unknown> = {
  /** Unique; notices derive their ids from it, so a renamed notification is a new one. */
  readonly name: string;
  readonly topic: string;
  /** What preferences are grouped by. */
  readonly category: string;
  /** Filter over the event: `type = 'hr.employee.joined' AND [data.level] >= 3`. Left out: every event of the topic. */
  readonly when?: string;
  /** True: people cannot switch it off. A list of channels: not on these. */
  readonly mandatory?: boolean | readonly ChannelName[];
  readonly channels: readonly ChannelName[];
  readonly urgency?: Urgency;
  /**
   * Its pushes pass through Apple, Google, Microsoft or a browser's maker. True: they say only that something waits, or this
   * text; the app fetches the notice with authorisation.
   */
  readonly confidential?: boolean | string;
  /** Whom it concerns. Pure: called again when the event is replayed. */
  audience(event: EventOf<Data>): Audience;
  /** What to tell one of them. Pure, and called once per recipient. */
  content(event: EventOf<Data>, recipient: Profile): Card;
  /** How answers are taken, where the card has actions. */
  readonly answers?: Answers<Data>;
};

/** Left out, an answer goes where the message of the event says (`replyTo`), at any time, and the first one counts. */
export type Answers<Data = unknown> = {
  /** A topic or queue for answers to events whose message names none. */
  readonly replyTo?: string;
  /** Until when it can be answered; a date that is no date (undefined) is no end. */
  expiresAt?(event: EventOf<Data>): Date | string | undefined;
  /** The recipient who asked, and who therefore must not answer (four eyes). */
  requester?(event: EventOf<Data>): string | undefined;
  /** What it is about, such as the number of the request: a newer event of the topic with the same key withdraws it. */
  key?(event: EventOf<Data>): string | undefined;
  /** False: mails have no buttons that answer, only a link to the inbox. */
  readonly byMail?: boolean;
  /** `first` (the default): the first answer counts for all who were asked. `each`: everybody answers for themselves. */
  readonly by?: 'first' | 'each';
};

/** What preferences pages show of a category, and what holds for whoever did not choose. */
export type Category = CategoryPolicy & {
  readonly title?: string;
  readonly description?: string;
  /** What a person's condition may ask for, for the editor on the page. */
  readonly fields?: readonly CategoryField[];
};

export type CategoryField = { readonly name: string; readonly label: string; readonly kind: 'number' | 'text' };

/** A definition with its condition compiled. */
export type Defined = Notification & {
  readonly condition: Condition | undefined;
  readonly urgency: Urgency;
  /** What its Adaptive Cards may be. */
  readonly cardPolicy: CardPolicy;
};

export type Definitions = {
  readonly all: readonly Defined[];
  /** By the folded name of the topic: names of topics are case-insensitive. */
  readonly byTopic: ReadonlyMap<string, readonly Defined[]>;
  readonly categories: ReadonlyMap<string, Category>;
};

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;

/** Checks and compiles definitions. Throws `notification_invalid` that lists everything that is wrong with them. */
export function compileDefinitions(
  notifications: readonly Notification[],
  categories: Readonly<Record<string, Category>> = {},
  cardPolicy: CardPolicy = defaultPolicy,
): Definitions {
  const faults = [...faultsOfCategories(categories), ...notifications.flatMap(faultsOf), ...repeated(notifications)];
  if (faults.length > 0) {
    throw new Refusal('notification_invalid', `The notifications are not valid: ${faults.join('; ')}.`, { faults });
  }
  const all = notifications.map((each) => define(each, cardPolicy));
  return {
    all,
    byTopic: Map.groupBy(all, (each) => each.topic.toLowerCase()),
    categories: new Map(Object.entries(categories)),
  };
}

function define(notification: Notification, cardPolicy: CardPolicy): Defined {
  const condition = notification.when === undefined ? undefined : compileCondition(notification.when);
  // Not spread: a definition may be an object of a class, whose methods a spread would lose.
  return Object.assign(
    Object.create(notification) as Notification,
    {
      condition,
      urgency: notification.urgency ?? 'normal',
      cardPolicy,
    } as const,
  );
}

function faultsOf(given: Notification, index: number): string[] {
  const name = typeof given?.name === 'string' ? given.name : `notification ${index + 1}`;
  const faults: string[] = [];
  const expect = (holds: boolean, what: string) => holds || faults.push(`${name}: ${what}`);
  if (typeof given !== 'object' || given === null) return [`${name} is no object`];
  expect(NAME.test(given.name), 'name must be 1 to 128 characters of A-Z a-z 0-9 . _ -');
  expect(typeof given.topic === 'string' && given.topic !== '', 'topic is missing');
  expect(isCategoryName(given.category), 'category must be 1 to 64 characters of A-Z a-z 0-9 . _ -');
  expect(
    areChannels(given.channels) && given.channels.length > 0,
    `channels must be some of ${channelNames.join(', ')}`,
  );
  const { mandatory = false, urgency = 'normal' } = given;
  expect(typeof mandatory === 'boolean' || areChannels(mandatory), 'mandatory must be true, false or channels');
  expect(urgencies.includes(urgency), `urgency must be one of ${urgencies.join(', ')}`);
  expect(typeof given.audience === 'function', 'audience must be a function');
  expect(typeof given.content === 'function', 'content must be a function');
  for (const fault of faultsOfAnswers(given.answers)) expect(false, `answers: ${fault}`);
  const fault = given.when === undefined ? undefined : conditionFault(given.when);
  expect(fault === undefined, `when: ${fault}`);
  return faults;
}

function faultsOfAnswers(answers: unknown): string[] {
  if (answers === undefined) return [];
  if (typeof answers !== 'object' || answers === null) return ['must be an object'];
  const { replyTo, by, byMail, ...rest } = answers as Readonly<Record<string, unknown>>;
  return [
    ...(replyTo !== undefined && (typeof replyTo !== 'string' || replyTo === '')
      ? ['replyTo must name a topic or queue']
      : []),
    ...(by !== undefined && by !== 'first' && by !== 'each' ? ["by must be 'first' or 'each'"] : []),
    ...(byMail !== undefined && typeof byMail !== 'boolean' ? ['byMail must be true or false'] : []),
    ...Object.entries(rest).flatMap(([name, value]) => {
      if (!['expiresAt', 'requester', 'key'].includes(name)) return [`there is no ${name}`];
      return value === undefined || typeof value === 'function' ? [] : [`${name} must be a function`];
    }),
  ];
}

function faultsOfCategories(categories: Readonly<Record<string, Category>>): string[] {
  return Object.entries(categories).flatMap(([name, { defaults }]) => {
    if (!isCategoryName(name)) return [`category ${name} must be 1 to 64 characters of A-Z a-z 0-9 . _ -`];
    return defaults === undefined ? [] : refusalOf(() => parseCategorySetting(defaults, `categories.${name}.defaults`));
  });
}

function conditionFault(when: unknown): string | undefined {
  return typeof when === 'string' ? refusalOf(() => compileCondition(when))[0] : 'must be text';
}

function refusalOf(check: () => unknown): string[] {
  try {
    check();
    return [];
  } catch (error) {
    if (error instanceof Refusal) return [error.message.replace(/\.$/, '')];
    throw error;
  }
}

function areChannels(value: unknown): value is readonly ChannelName[] {
  return Array.isArray(value) && value.every((each) => (channelNames as readonly unknown[]).includes(each));
}

function repeated(notifications: readonly Notification[]): string[] {
  const byName = Map.groupBy(notifications, (each) => each?.name);
  return [...byName].flatMap(([name, same]) => (same.length > 1 ? [`${name} is defined ${same.length} times`] : []));
}

/** What pushes of this notification say instead of its content; undefined for those that may say it. */
export function concealedText(definitions: Definitions, name: string): string | undefined {
  const given = definitions.all.find((each) => each.name === name)?.confidential;
  return given === true ? 'You have a new message' : given || undefined;
}
