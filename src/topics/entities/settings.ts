// What can be set on a topic, a queue and a subscription, with defaults, limits and the check of both.
// Durations are in milliseconds, sizes in bytes; `null` means without limit.
import { Refusal } from '../../kit/refusal.ts';

export type EntityStatus = 'active' | 'disabled' | 'sendDisabled' | 'receiveDisabled';

export type TopicSettings = {
  readonly defaultTimeToLiveMs: number | null;
  readonly duplicateDetection: boolean;
  readonly duplicateDetectionWindowMs: number;
  readonly maxMessageBytes: number;
  readonly maxSizeBytes: number | null;
  readonly autoDeleteOnIdleMs: number | null;
  /** How long messages stay readable (browse, replay) after every subscription is done with them. */
  readonly retentionMs: number;
  readonly status: EntityStatus;
  readonly userMetadata: string;
};

export type SubscriptionSettings = {
  readonly lockDurationMs: number;
  readonly maxDeliveryCount: number;
  readonly requiresSession: boolean;
  readonly defaultTimeToLiveMs: number | null;
  readonly deadLetterOnExpiry: boolean;
  readonly deadLetterOnFilterError: boolean;
  readonly forwardTo: string | null;
  readonly forwardDeadLettersTo: string | null;
  readonly autoDeleteOnIdleMs: number | null;
  readonly status: EntityStatus;
  readonly userMetadata: string;
};

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;

export const topicDefaults: TopicSettings = {
  defaultTimeToLiveMs: null,
  duplicateDetection: false,
  duplicateDetectionWindowMs: 10 * MINUTE,
  maxMessageBytes: 1024 * 1024,
  maxSizeBytes: null,
  autoDeleteOnIdleMs: null,
  retentionMs: DAY,
  status: 'active',
  userMetadata: '',
};

export const subscriptionDefaults: SubscriptionSettings = {
  lockDurationMs: MINUTE,
  maxDeliveryCount: 10,
  requiresSession: false,
  defaultTimeToLiveMs: null,
  deadLetterOnExpiry: false,
  deadLetterOnFilterError: true,
  forwardTo: null,
  forwardDeadLettersTo: null,
  autoDeleteOnIdleMs: null,
  status: 'active',
  userMetadata: '',
};

/** Each numeric setting with the least and the most it may be. */
const ranges: Readonly<Record<string, readonly [number, number]>> = {
  defaultTimeToLiveMs: [1, Number.MAX_SAFE_INTEGER],
  duplicateDetectionWindowMs: [20_000, 7 * DAY],
  maxMessageBytes: [1024, 100 * 1024 * 1024],
  maxSizeBytes: [1, Number.MAX_SAFE_INTEGER],
  autoDeleteOnIdleMs: [5 * MINUTE, Number.MAX_SAFE_INTEGER],
  retentionMs: [0, Number.MAX_SAFE_INTEGER],
  lockDurationMs: [5_000, 5 * MINUTE],
  maxDeliveryCount: [1, 2_147_483_647],
};

const MOST_METADATA = 1024;
const hints: Readonly<Record<string, string>> = {
  userMetadata: ` It is a text of at most ${MOST_METADATA} characters.`,
};

const statuses: readonly unknown[] = ['active', 'disabled', 'sendDisabled', 'receiveDisabled'];

/** `given` over `base`; refuses unknown names and values out of range. */
export function mergeSettings<S extends TopicSettings | SubscriptionSettings>(base: S, given: Partial<S>): S {
  for (const [name, value] of Object.entries(given)) {
    if (!Object.hasOwn(base, name))
      throw new Refusal('invalid_setting', `There is no setting ${name}.`, { setting: name });
    if (value !== undefined) checkSetting(name, value);
  }
  const kept = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  return { ...base, ...kept };
}

function checkSetting(name: string, value: unknown): void {
  const range = ranges[name];
  const nullable = name.startsWith('forward') || name.startsWith('autoDelete') || /^(default|maxSize)/.test(name);
  if (value === null && nullable) return;
  const good = range
    ? typeof value === 'number' && Number.isInteger(value) && value >= range[0] && value <= range[1]
    : checkOther(name, value);
  if (!good) {
    const words = range ? ` It must be an integer from ${range[0]} to ${range[1]}.` : (hints[name] ?? '');
    const limits = range ? { least: range[0], most: range[1] } : {};
    throw new Refusal('invalid_setting', `The setting ${name} is not valid.${words}`, { setting: name, ...limits });
  }
}

function checkOther(name: string, value: unknown): boolean {
  if (name === 'status') return statuses.includes(value);
  if (name === 'userMetadata') return typeof value === 'string' && value.length <= MOST_METADATA;
  if (name.startsWith('forward')) return typeof value === 'string' && value.length > 0;
  return typeof value === 'boolean';
}

const ENTITY_NAME = /^[\p{L}\p{N}](?:[\p{L}\p{N}._/-]*[\p{L}\p{N}_])?$/u;

/** What addresses of clients have between the parts that they name; and no part is empty. */
const RESERVED = ['', 'subscriptions', 'partitions', 'consumergroups', 'publishers'];

/** A topic's or queue's name: letters, digits, `.`, `-`, `_`, `/`; at most 260 characters. */
export function checkEntityName(name: string): void {
  const parts = name.toLowerCase().split('/');
  const reserved = RESERVED.some((each) => parts.includes(each));
  if (name.length > 260 || !ENTITY_NAME.test(name) || reserved) {
    throw new Refusal('invalid_name', `"${name.slice(0, 300)}" is not a valid topic or queue name.`);
  }
}

/** A subscription's or rule's name: letters, digits, `.`, `-`, `_`, `$`; at most 50 characters. */
export function checkShortName(name: string): void {
  if (!/^[\p{L}\p{N}$_][\p{L}\p{N}$._-]{0,49}$/u.test(name)) {
    throw new Refusal('invalid_name', `"${name.slice(0, 100)}" is not a valid subscription or rule name.`);
  }
}
