import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decideChannels } from '../../src/people/preferences.ts';
import { type Category, channelNames, type Preferences } from '../kit/api.ts';
import { choiceOf, choose, chooseWhen } from './choice.ts';

const setting = fc.record(
  { inbox: fc.boolean(), mobile: fc.boolean(), conversation: fc.boolean(), email: fc.boolean() },
  { requiredKeys: [] },
);
const anyPreferences: fc.Arbitrary<Preferences> = fc.record({
  SendNotificationToMobileDevice: fc.boolean(),
  SendNotificationToConversation: fc.boolean(),
  categories: fc.oneof(fc.constant({}), fc.record({ hr: setting })),
});
const anyCategory: fc.Arbitrary<Category> = fc.record({
  name: fc.constant('hr'),
  channels: fc.constant(channelNames),
  mandatoryChannels: fc.subarray([...channelNames]),
  locked: fc.boolean(),
  defaults: setting,
});

describe('a switch', () => {
  it('shows what the server would decide', () => {
    fc.assert(
      fc.property(anyPreferences, anyCategory, (preferences, category) => {
        const { locked = false, defaults = {}, mandatoryChannels: mandatory = [] } = category;
        const question = { category: 'hr', channels: channelNames, mandatory };
        const decided = decideChannels(question, preferences, { locked, defaults }, () => undefined);
        const shown = channelNames.map((channel) => choiceOf(preferences, category, channel).on);
        expect(shown).toEqual(decided.map(({ on }) => on));
      }),
    );
  });

  it('stays as it was turned, and turns no other', () => {
    const channel = fc.constantFrom(...channelNames);
    fc.assert(
      fc.property(anyPreferences, anyCategory, channel, fc.boolean(), (preferences, category, turned, on) => {
        const free = { ...category, locked: false, mandatoryChannels: [] };
        const next = choose(preferences, free, turned, on);
        for (const each of channelNames) {
          const expected = each === turned ? on : choiceOf(preferences, free, each).on;
          expect(choiceOf(next, free, each).on).toBe(expected);
        }
      }),
    );
  });

  it('leaves nothing behind when it is turned back to what holds anyway', () => {
    const category: Category = { name: 'hr', channels: ['inbox'] };
    const fresh = { SendNotificationToMobileDevice: true, SendNotificationToConversation: true, categories: {} };
    const off = choose(fresh, category, 'inbox', false);
    expect(off.categories).toEqual({ hr: { inbox: false } });
    expect(choose(off, category, 'inbox', true)).toEqual(fresh);
    expect(chooseWhen(chooseWhen(fresh, category, 'a = 1'), category, '')).toEqual(fresh);
  });
});
