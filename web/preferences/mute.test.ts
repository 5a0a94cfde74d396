import { describe, expect, it } from 'vitest';
import type { Category, Preferences } from '../kit/api.ts';
import { mute, mutedUntil, peaces } from './mute.ts';

const hr: Category = { name: 'hr', channels: ['inbox', 'mobile'] };
const preferences: Preferences = {
  SendNotificationToMobileDevice: true,
  SendNotificationToConversation: true,
  categories: { hr: { mobile: false } },
};

describe('muting', () => {
  it('offers times that lie ahead, mornings at eight, and never this Monday on a Monday', () => {
    const monday = new Date(2026, 10, 23, 7, 30);
    const offered = peaces(monday);
    expect(offered.every(({ until }) => until > monday)).toBe(true);
    expect(offered[1]?.until).toEqual(new Date(2026, 10, 24, 8));
    expect(offered[2]?.until).toEqual(new Date(2026, 10, 30, 8));
    const sunday = new Date(2026, 10, 22, 23, 59);
    expect(peaces(sunday)[2]?.until).toEqual(new Date(2026, 10, 23, 8));
  });

  it('keeps what else was chosen, and leaves nothing behind when it is over', () => {
    const until = new Date('2026-11-23T08:00:00Z');
    const muted = mute(preferences, hr, until);
    expect(muted.categories.hr).toEqual({ mobile: false, mutedUntil: '2026-11-23T08:00:00.000Z' });
    expect(mutedUntil(muted, hr, new Date('2026-11-23T07:59:00Z'))).toEqual(until);
    expect(mutedUntil(muted, hr, new Date('2026-11-23T08:00:00Z'))).toBeUndefined();
    expect(mute(muted, hr, undefined)).toEqual(preferences);
    expect(mute({ ...preferences, categories: {} }, hr, undefined).categories).toEqual({});
  });
});
