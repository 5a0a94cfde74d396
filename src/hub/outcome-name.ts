// What a push came to, in the words of Azure's telemetry and feedback. Azure does not publish how it maps the services' answers; this is
// our reading, and the same table serves test sends, telemetry and feedback.

import type { Platform, PushOutcome } from './drivers/driver.ts';

export type OutcomeName =
  | 'Success'
  | 'BadChannel'
  | 'ChannelThrottled'
  | 'Dropped'
  | 'ExpiredChannel'
  | 'InvalidCredentials'
  | 'InvalidNotificationFormat'
  | 'InvalidNotificationSize'
  | 'PnsServerError'
  | 'PnsUnavailable'
  | 'PnsUnreachable'
  | 'Throttled'
  | 'WrongToken';

const gone: Readonly<Record<Platform, Readonly<Record<string, OutcomeName>>>> = {
  apns: { BadDeviceToken: 'BadChannel', DeviceTokenNotForTopic: 'WrongToken' },
  fcmv1: { INVALID_TOKEN: 'BadChannel', SENDER_ID_MISMATCH: 'WrongToken' },
  wns: { 404: 'BadChannel', 403: 'WrongToken', bad_channel: 'BadChannel' },
  browser: { bad_endpoint: 'BadChannel', bad_keys: 'BadChannel', bad_address: 'BadChannel' },
};
const throttled = new Set(['406', '429', 'QUOTA_EXCEEDED', 'TooManyRequests', 'TooManyProviderTokenUpdates']);
const unavailable = new Set(['503', 'UNAVAILABLE', 'ServiceUnavailable', 'Shutdown']);

export function outcomeName(platform: Platform, outcome: PushOutcome): OutcomeName {
  switch (outcome.kind) {
    case 'delivered':
      return 'Success';
    case 'gone':
      return gone[platform][outcome.cause] ?? 'ExpiredChannel';
    case 'refused':
      return refusedName(outcome.cause);
    case 'down':
      return outcome.alarm ? 'InvalidCredentials' : throttled.has(outcome.cause) ? 'Throttled' : 'PnsUnavailable';
    case 'retry':
      return retryName(outcome.cause);
  }
}

function refusedName(cause: string): OutcomeName {
  if (cause === 'PayloadTooLarge') return 'InvalidNotificationSize';
  if (cause === 'dropped') return 'Dropped';
  if (cause === 'BadDeviceToken') return 'BadChannel';
  return cause.startsWith('vapid:') || cause === 'THIRD_PARTY_AUTH_ERROR'
    ? 'InvalidCredentials'
    : 'InvalidNotificationFormat';
}

function retryName(cause: string): OutcomeName {
  if (cause === 'channelthrottled') return 'ChannelThrottled';
  if (throttled.has(cause)) return 'Throttled';
  if (unavailable.has(cause)) return 'PnsUnavailable';
  return cause.startsWith('lost:') || cause.startsWith('unprocessed:') ? 'PnsUnreachable' : 'PnsServerError';
}
