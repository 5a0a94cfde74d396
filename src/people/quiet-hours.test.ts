import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { endOfQuiet } from './quiet-hours.ts';

const HOUR = 3_600_000;
const night = { from: '22:00', to: '07:00' };
const end = (quiet: { from: string; to: string }, zone: string, at: string) =>
  endOfQuiet(quiet, zone, new Date(at))?.toISOString();

describe('quiet hours', () => {
  it('go over midnight, and end at the minute', () => {
    expect(end(night, 'UTC', '2026-05-01T21:59:59Z')).toBeUndefined();
    expect(end(night, 'UTC', '2026-05-01T22:00:00Z')).toBe('2026-05-02T07:00:00.000Z');
    expect(end(night, 'UTC', '2026-05-02T06:59:59.999Z')).toBe('2026-05-02T07:00:00.000Z');
    expect(end(night, 'UTC', '2026-05-02T07:00:00Z')).toBeUndefined();
    expect(end({ from: '12:00', to: '13:30' }, 'UTC', '2026-05-02T12:10:30Z')).toBe('2026-05-02T13:30:00.000Z');
  });

  it('are those of the person', () => {
    expect(end(night, 'Asia/Kolkata', '2026-05-01T16:30:00Z')).toBe('2026-05-02T01:30:00.000Z');
    expect(end(night, 'Europe/Vienna', '2026-05-01T19:59:00Z')).toBeUndefined();
  });

  it('end when the clock says so in the nights in which it is set', () => {
    // 2026-03-29 02:00 -> 03:00 and 2026-10-25 03:00 -> 02:00 in Vienna.
    expect(end(night, 'Europe/Vienna', '2026-03-28T22:00:00Z')).toBe('2026-03-29T05:00:00.000Z');
    expect(end(night, 'Europe/Vienna', '2026-10-24T22:00:00Z')).toBe('2026-10-25T06:00:00.000Z');
    expect(end({ from: '22:00', to: '02:30' }, 'Europe/Vienna', '2026-03-28T22:00:00Z')).toBe(
      '2026-03-29T01:30:00.000Z',
    );
  });

  it('always end, within a day and an hour, and are over then', () => {
    const time = fc
      .tuple(fc.nat(23), fc.nat(59))
      .map(([h, m]) => `${String(h).padStart(2, '0')}:${String(m).padStart(2, '0')}`);
    const zone = fc.constantFrom('UTC', 'Europe/Vienna', 'America/New_York', 'Australia/Lord_Howe', 'Asia/Kathmandu');
    const at = fc.date({ min: new Date('2026-01-01'), max: new Date('2027-12-31'), noInvalidDate: true });
    fc.assert(
      fc.property(time, time, zone, at, (from, to, zone, now) => {
        fc.pre(from !== to);
        const ended = endOfQuiet({ from, to }, zone, now);
        if (ended === undefined) return;
        const waited = ended.getTime() - now.getTime();
        expect(waited).toBeGreaterThan(0);
        expect(waited).toBeLessThanOrEqual(25 * HOUR);
        expect(endOfQuiet({ from, to }, zone, ended)).toBeUndefined();
      }),
      { numRuns: 2_000 },
    );
  });
});
