// Which condition a refusal becomes, and what the official client makes of it: whether it tries again is decided by the
// condition, and a lasting one under a retryable condition makes a program hang for a minute and a half.
import { createRequire } from 'node:module';
import { describe, expect, it } from 'vitest';
import { Refusal, type RefusalCode, refusals } from '../../kit/refusal.ts';
import { missingEntity, statusOf, toAmqpError } from './errors.ts';

// The library by which the client tells errors apart; it comes with the client.
const client = createRequire(createRequire(import.meta.url).resolve('@azure/service-bus'));
const { translate } = client('@azure/core-amqp') as {
  translate(error: { condition: string; description: string }): { readonly code: string; readonly retryable: boolean };
};

/** Code, condition, the client's name for it, whether it tries again, the status of a management reply. */
const table: readonly (readonly [RefusalCode, string, string, boolean, number])[] = [
  ['amqp_malformed', 'amqp:decode-error', 'DecodeError', false, 400],
  ['bad_request', 'amqp:not-allowed', 'InvalidOperationError', false, 400],
  ['conflict', 'amqp:not-allowed', 'InvalidOperationError', false, 400],
  ['invalid_name', 'com.microsoft:argument-error', 'ArgumentError', false, 400],
  ['invalid_setting', 'com.microsoft:argument-error', 'ArgumentError', false, 400],
  ['filter_invalid', 'com.microsoft:argument-error', 'ArgumentError', false, 400],
  ['method_not_allowed', 'amqp:not-implemented', 'NotImplementedError', false, 501],
  ['entity_disabled', 'com.microsoft:entity-disabled', 'MessagingEntityDisabledError', false, 400],
  ['already_exists', 'com.microsoft:entity-already-exists', 'MessagingEntityAlreadyExistsError', false, 409],
  ['lock_lost', 'com.microsoft:message-lock-lost', 'MessageLockLostError', false, 410],
  ['session_lock_lost', 'com.microsoft:session-lock-lost', 'SessionLockLostError', false, 410],
  ['session_locked', 'com.microsoft:session-cannot-be-locked', 'SessionCannotBeLockedError', false, 410],
  ['message_not_found', 'com.microsoft:message-not-found', 'MessageNotFoundError', false, 404],
  ['too_large', 'amqp:link:message-size-exceeded', 'MessageTooLargeError', false, 403],
  ['quota_exceeded', 'amqp:resource-limit-exceeded', 'QuotaExceededError', false, 403],
  ['topic_not_found', 'amqp:not-found', 'MessagingEntityNotFoundError', false, 404],
  ['subscription_not_found', 'amqp:not-found', 'MessagingEntityNotFoundError', false, 404],
  ['not_found', 'amqp:not-found', 'ServiceCommunicationError', false, 404],
  ['key_missing', 'amqp:unauthorized-access', 'UnauthorizedError', true, 401],
  ['right_missing', 'amqp:unauthorized-access', 'UnauthorizedError', true, 401],
  ['request_timeout', 'com.microsoft:timeout', 'ServiceUnavailableError', true, 408],
  ['busy', 'com.microsoft:server-busy', 'ServerBusyError', true, 503],
  ['in_doubt', 'com.microsoft:server-busy', 'ServerBusyError', true, 503],
  ['stopping', 'com.microsoft:server-busy', 'ServerBusyError', true, 503],
  ['storage_full', 'com.microsoft:server-busy', 'ServerBusyError', true, 503],
];

/** Conditions that this door says in other places than in answer to a refusal, as links and connections end. */
const others: readonly (readonly [string, string, boolean])[] = [
  ['amqp:connection:forced', 'ConnectionForcedError', true],
  ['amqp:link:transfer-limit-exceeded', 'TransferLimitExceededError', true],
  ['amqp:connection:framing-error', 'FramingError', false],
  ['amqp:resource-limit-exceeded', 'QuotaExceededError', false],
  ['amqp:link:stolen', 'ReceiverDisconnectedError', false],
  ['com.microsoft:argument-out-of-range', 'ArgumentOutOfRangeError', false],
  ['com.microsoft:argument-error', 'ArgumentError', false],
];

describe('what the official client makes of a refusal', () => {
  it.each(table)('%s is %s, %s, tried again: %s', (code, condition, name, retryable, status) => {
    const refusal = new Refusal(code, 'Why.');
    const error = toAmqpError(refusal);
    expect(error.condition).toBe(condition);
    expect(error.description).toMatch(/TrackingId:[0-9a-f-]{36}, SystemTracker:carillon, Timestamp:\d{4}-/);
    expect(translate(error)).toMatchObject({ code: name, retryable });
    expect(statusOf(refusal)).toBe(status);
  });

  it('knows a missing entity by its words, whatever the condition', () => {
    const error = translate(toAmqpError(missingEntity('some/queue')));
    expect(error).toMatchObject({ code: 'MessagingEntityNotFoundError', retryable: false });
  });

  it('takes our own faults for passing ones, and learns nothing of them', () => {
    const error = toAmqpError(new Error('secret detail'));
    expect(error.condition).toBe('amqp:internal-error');
    expect(error.description).not.toContain('secret');
    expect(translate(error)).toMatchObject({ code: 'InternalServerError', retryable: true });
    expect(statusOf(new Error('x'))).toBe(500);
  });

  it.each(others)('%s ends a link or a connection: %s, tried again: %s', (condition, name, retryable) => {
    expect(translate({ condition, description: 'Why.' })).toMatchObject({ code: name, retryable });
  });

  it('has a condition of its own for everything that the broker can refuse', () => {
    const said = new Set(table.map(([code]) => code));
    const others = Object.keys(refusals).filter((code) => !said.has(code as RefusalCode));
    for (const code of others) {
      const { condition } = toAmqpError(new Refusal(code as RefusalCode, 'Why.'));
      expect([code, condition]).toEqual([code, 'amqp:internal-error']);
    }
  });
});
