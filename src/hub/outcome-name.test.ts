import { expect, test } from 'vitest';
import type { Platform, PushOutcome } from './drivers/driver.ts';
import { outcomeName } from './outcome-name.ts';

const retry = (cause: string): PushOutcome => ({ kind: 'retry', cause, retryAfterMs: undefined });
const gone = (cause: string): PushOutcome => ({ kind: 'gone', cause });
const refused = (cause: string): PushOutcome => ({ kind: 'refused', cause });

test.each<[Platform, PushOutcome, string]>([
  ['apns', { kind: 'delivered' }, 'Success'],
  ['apns', gone('Unregistered'), 'ExpiredChannel'],
  ['apns', gone('BadDeviceToken'), 'BadChannel'],
  ['apns', gone('DeviceTokenNotForTopic'), 'WrongToken'],
  ['fcmv1', gone('UNREGISTERED'), 'ExpiredChannel'],
  ['fcmv1', gone('SENDER_ID_MISMATCH'), 'WrongToken'],
  ['wns', gone('410'), 'ExpiredChannel'],
  ['wns', gone('404'), 'BadChannel'],
  ['wns', gone('403'), 'WrongToken'],
  ['wns', refused('dropped'), 'Dropped'],
  ['wns', retry('channelthrottled'), 'ChannelThrottled'],
  ['wns', retry('406'), 'Throttled'],
  ['browser', gone('404'), 'ExpiredChannel'],
  ['browser', refused('PayloadTooLarge'), 'InvalidNotificationSize'],
  ['browser', refused('400'), 'InvalidNotificationFormat'],
  ['apns', { kind: 'down', cause: 'InvalidProviderToken', alarm: true, retryAfterMs: 1 }, 'InvalidCredentials'],
  ['fcmv1', { kind: 'down', cause: 'no_token', alarm: false, retryAfterMs: 1 }, 'PnsUnavailable'],
  ['fcmv1', retry('UNAVAILABLE'), 'PnsUnavailable'],
  ['fcmv1', retry('INTERNAL'), 'PnsServerError'],
  ['apns', retry('lost:timeout'), 'PnsUnreachable'],
])('on %s, %o is %s', (platform, outcome, name) => {
  expect(outcomeName(platform, outcome)).toBe(name);
});
