import { describe, expect, it } from 'vitest';
import { Refusal } from '../../kit/refusal.ts';
import { isOutage } from './connection.ts';

const withCode = (error: Error, code: string) => Object.assign(error, { code });

describe('an outage', () => {
  it.each(['ECONNREFUSED', 'EPIPE', 'EAGAIN', 'ERR_STREAM_DESTROYED', '57P03', '08006'])(
    'is what ends with %s',
    (code) => {
      expect(isOutage(withCode(new Error('it broke'), code))).toBe(true);
    },
  );

  it('is a connection that pg says has ended', () => {
    expect(isOutage(new Error('Connection terminated unexpectedly'))).toBe(true);
  });

  it('is neither a refused statement, nor a refusal of ours, nor a bug', () => {
    expect(isOutage(withCode(new Error('duplicate key'), '23505'))).toBe(false);
    expect(isOutage(new Refusal('lock_lost', 'gone'))).toBe(false);
    expect(isOutage(withCode(new TypeError('bad argument'), 'ERR_INVALID_ARG_TYPE'))).toBe(false);
    expect(isOutage(new Error('x is not a function'))).toBe(false);
  });
});
