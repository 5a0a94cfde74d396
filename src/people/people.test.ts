import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { useDatabase } from '../../test/support/database.ts';
import { type ChannelName, channelNames, type Urgency } from '../deliveries/channel.ts';
import { lookupIn } from '../topics/filter/lookup.ts';
import { lookupOfPerson, parseAudience } from './audience.ts';
import { compileCondition } from './condition.ts';
import { parsePreferences } from './parse-preferences.ts';
import { ensureRecipients, getPreferences, putPreferences } from './preference-records.ts';
import {
  type CategorySetting,
  decideChannels,
  defaultPreferences,
  heldUntil,
  preferencesOf,
  type Reason,
  settingsOf,
} from './preferences.ts';
import { parseRecipient, parseRecipientId } from './recipient.ts';
import {
  deleteRecipient,
  findRecipients,
  getRecipient,
  listRecipients,
  putRecipient,
  searchRecipients,
} from './recipients.ts';

const optionalBoolean = fc.option(fc.boolean(), { nil: undefined });

/** Settings of a category with nothing undefined in them. */
const setting: fc.Arbitrary<CategorySetting> = fc
  .record({
    inbox: optionalBoolean,
    mobile: optionalBoolean,
    conversation: optionalBoolean,
    email: optionalBoolean,
    when: fc.option(fc.constantFrom('1=1', '1=0', 'amount > 100'), { nil: undefined }),
  })
  .map((given) => Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)));

const preferences = fc.record({
  SendNotificationToMobileDevice: fc.boolean(),
  SendNotificationToConversation: fc.boolean(),
  categories: fc.dictionary(fc.constantFrom('hr', 'finance', '__proto__', 'constructor'), setting, {
    noNullPrototype: true,
  }),
});

const quietHours = { from: '22:00', to: '07:00', timeZone: 'Europe/Vienna' };
const policy = fc.option(fc.record({ defaults: setting, locked: fc.boolean() }), { nil: undefined });
const amount = fc.constantFrom(50, 500, undefined);
const question = { category: 'hr', channels: channelNames };

describe('preferences', () => {
  it('mean after storing what they meant before', () => {
    fc.assert(
      fc.property(preferences, policy, amount, (chosen, policy, amount) => {
        const lookup = lookupIn({ amount });
        const stored = JSON.parse(JSON.stringify(settingsOf(chosen)));
        expect(decideChannels(question, stored, policy, lookup)).toEqual(
          decideChannels(question, chosen, policy, lookup),
        );
        expect(settingsOf(preferencesOf(stored))).toEqual(stored);
      }),
    );
  });

  it('are what the person said about category and channel, before everything that is not mandatory or locked', () => {
    fc.assert(
      fc.property(preferences, policy, (chosen, policy) => {
        fc.pre(!policy?.locked && Object.hasOwn(chosen.categories, 'hr'));
        const own = chosen.categories.hr!;
        const decisions = decideChannels(question, chosen, policy, lookupIn({ amount: 500 }));
        const when = own.when ?? policy?.defaults.when;
        for (const { channel, on } of decisions) {
          if (when === '1=0') expect(on).toBe(false);
          else if (own[channel] !== undefined) expect(on).toBe(own[channel]);
        }
      }),
    );
  });

  it('cannot switch off what is mandatory, nor choose in a locked category', () => {
    fc.assert(
      fc.property(preferences, policy, fc.subarray([...channelNames]), (chosen, policy, mandatory) => {
        const lookup = lookupIn({ amount: 50 });
        const decisions = decideChannels({ ...question, mandatory }, chosen, policy, lookup);
        for (const { channel, on } of decisions) if (mandatory.includes(channel)) expect(on).toBe(true);
        expect(decideChannels({ ...question, mandatory: true }, chosen, policy, lookup).every(({ on }) => on)).toBe(
          true,
        );
        const locked = { ...policy, locked: true };
        expect(decideChannels(question, chosen, locked, lookup)).toEqual(decideChannels(question, {}, locked, lookup));
      }),
    );
  });

  it('follow a default of the organisation until the person chooses otherwise', () => {
    const decide = (settings: object, defaults: CategorySetting) =>
      Object.fromEntries(
        decideChannels(question, settings, { defaults }, lookupIn({})).map(({ channel, on, reason }) => [
          channel,
          `${on} ${reason}`,
        ]),
      );
    expect(decide({}, { email: false })).toEqual({
      inbox: 'true default',
      mobile: 'true default',
      conversation: 'true default',
      email: 'false organisation',
    });
    expect(decide({ categories: { hr: { email: true } } }, { email: false })).toMatchObject({ email: 'true category' });
    expect(decide({ SendNotificationToMobileDevice: false }, { mobile: true })).toMatchObject({ mobile: 'false flag' });
  });

  it('hold what could disturb until the quiet hours end, but not the inbox, the urgent and the mandatory', () => {
    const night = new Date('2026-06-01T22:30:00Z');
    const held = (
      channel: ChannelName,
      reason: Reason = 'default',
      urgency: Urgency = 'normal',
      settings: object = { quietHours },
    ) => heldUntil({ channel, on: true, reason }, urgency, settings, 'Asia/Tokyo', night)?.toISOString();
    expect(held('mobile')).toBe('2026-06-02T05:00:00.000Z');
    expect(held('inbox')).toBeUndefined();
    expect(held('email', 'mandatory')).toBeUndefined();
    expect(held('mobile', 'default', 'high')).toBeUndefined();
    expect(held('mobile', 'default', 'normal', {})).toBeUndefined();
    // 22:30 UTC is 07:30 in Tokyo: without a time zone of their own the hours follow the person's record.
    expect(held('mobile', 'default', 'low', { quietHours: { from: '22:00', to: '07:00' } })).toBeUndefined();
  });

  it('let a muted category disturb nobody until the time has come; the inbox and the mandatory go on', () => {
    const settings = { categories: { hr: { mobile: true, mutedUntil: '2026-06-01T08:00:00Z' } } };
    const reasons = (at: string, mandatory = false) =>
      decideChannels({ ...question, mandatory }, settings, undefined, lookupIn({}), new Date(at)).map(
        ({ channel, reason }) => `${channel} ${reason}`,
      );
    expect(reasons('2026-06-01T07:59:59Z')).toEqual([
      'inbox default',
      'mobile muted',
      'conversation muted',
      'email muted',
    ]);
    expect(reasons('2026-06-01T08:00:00Z')).toContain('mobile category');
    expect(reasons('2026-06-01T07:00:00Z', true)).toContain('mobile mandatory');
  });

  it('are off on every channel where the condition is unknown', () => {
    const settings = { categories: { hr: { when: 'amount > 100', inbox: true } } };
    const decisions = decideChannels(question, settings, undefined, lookupIn({}));
    expect(decisions.every(({ on, reason }) => !on && reason === 'condition')).toBe(true);
  });

  it.each([
    [{ SendNotificationToMobileDevice: 'yes' }, 'SendNotificationToMobileDevice'],
    [{ sendNotificationToMobileDevice: true }, 'sendNotificationToMobileDevice'],
    [{ categories: { hr: { sms: true } } }, 'categories.hr.sms'],
    [{ categories: { hr: { inbox: 1 } } }, 'categories.hr.inbox'],
    [{ categories: { hr: { mutedUntil: 'Monday' } } }, 'categories.hr.mutedUntil'],
    [{ preferredConversation: 'pager' }, 'preferredConversation'],
    [{ categories: { hr: { when: 'amount >' } } }, 'categories.hr.when'],
    [{ categories: { 'h r': {} } }, 'categories.h r'],
    [{ categories: [] }, 'categories'],
    [{ quietHours: { from: '22:00', to: '24:00' } }, 'quietHours.to'],
    [{ quietHours: { from: '22:00', to: '22:00' } }, 'quietHours.to'],
    [{ quietHours: { from: '22:00', to: '07:00', timeZone: 'Moon' } }, 'quietHours.timeZone'],
    [{ quietHours: { from: '22:00', to: '07:00', days: [] } }, 'quietHours.days'],
    [null, 'preferences'],
  ])('refuse %j and name the place', (value, path) => {
    expect(() => parsePreferences(value)).toThrow(
      expect.objectContaining({ code: 'preferences_invalid', details: expect.objectContaining({ path }) }),
    );
  });
});

describe('audiences', () => {
  it('are lists without repetition, rules, or everyone', () => {
    expect(parseAudience(['a', 'b', 'a'])).toEqual({ kind: 'list', ids: ['a', 'b'] });
    expect(parseAudience({ recipients: ['a'] })).toEqual({ kind: 'list', ids: ['a'] });
    expect(parseAudience({ where: "team = 'sales'" })).toEqual({ kind: 'rule', where: "team = 'sales'" });
    expect(parseAudience({ everyone: true })).toEqual({ kind: 'rule', where: undefined });
    for (const wrong of [undefined, [''], [undefined], ['a b'], {}, { where: '(' }, Promise.resolve([])]) {
      expect(() => parseAudience(wrong)).toThrow();
    }
  });

  it('ask for what is known of a person', () => {
    const person = {
      id: 'ada',
      locale: 'de-AT',
      attributes: { Team: 'Sales', level: 3, groups: ['a', 'b'] },
      addresses: {},
      createdAt: new Date(),
      updatedAt: new Date(),
    };
    const matches = (where: string) => compileCondition(where).matches(lookupOfPerson(person));
    expect(matches("team = 'Sales' AND level >= 3 AND locale LIKE 'de%' AND id = 'ada'")).toBe(true);
    expect(matches("groups LIKE '%,b,%'")).toBe(true);
    expect(matches("groups LIKE '%,c,%' OR email = 'x' OR toString = 'x'")).toBe(false);
  });
});

describe('recipients', () => {
  const { database } = useDatabase();
  const put = (id: string, input: unknown) => database.transaction((tx) => putRecipient(tx, id, parseRecipient(input)));

  it('are stored as given; what is left out is cleared', async () => {
    const input = {
      displayName: 'Ada',
      email: 'ada@example.org',
      locale: 'DE-at',
      timeZone: 'Europe/Vienna',
      attributes: { team: 'sales', level: 3, remote: true, groups: ['a'] },
      addresses: { sms: '+431' },
    };
    expect(await put('ada', input)).toMatchObject({ ...input, id: 'ada', locale: 'de-AT' });
    await put('ada', { displayName: 'Ada L.' });
    const ada = await getRecipient(database, 'ada');
    expect(ada).toMatchObject({ displayName: 'Ada L.', attributes: {}, addresses: {} });
    expect('email' in ada).toBe(false);
  });

  it.each([
    [{ email: 'a b@example.org' }, 'email'],
    [{ email: 'a@b\r\nBcc: c@d' }, 'email'],
    [{ locale: 'not a locale' }, 'locale'],
    [{ timeZone: 'Mars/Olympus' }, 'timeZone'],
    [{ attributes: { a: { b: 1 } } }, 'attributes.a'],
    [{ attributes: { 'a b': 1 } }, 'attributes.a b'],
    [{ attributes: { a: 'x'.repeat(20_000) } }, 'attributes'],
    [{ displayName: 'a\0b' }, 'displayName'],
    [{ name: 'Ada' }, 'name'],
  ])('refuse %j and name the place', (input, path) => {
    expect(() => parseRecipient(input)).toThrow(
      expect.objectContaining({ code: 'recipient_invalid', details: { path } }),
    );
  });

  it('have ids of a fixed alphabet', () => {
    for (const id of ['ada', 'a.b_c:d@e-f', 'x'.repeat(128)]) expect(parseRecipientId(id)).toBe(id);
    for (const id of ['', 'a b', 'ä', 'x'.repeat(129), 'a/b', undefined]) {
      expect(() => parseRecipientId(id)).toThrow(expect.objectContaining({ code: 'recipient_invalid' }));
    }
  });

  it('are listed by prefix, page by page', async () => {
    for (const id of ['p.1', 'p.2', 'p.3', 'p/'.replace('/', ':'), 'q']) await put(id, {});
    const first = await listRecipients(database, { prefix: 'p.', limit: 2 });
    expect(first.items.map(({ id }) => id)).toEqual(['p.1', 'p.2']);
    const second = await listRecipients(database, { prefix: 'p.', limit: 2, after: first.next! });
    expect(second).toMatchObject({ items: [{ id: 'p.3' }], next: undefined });
  });

  it('are found by any part of id, name or mail address, in any case, and signs stand for themselves', async () => {
    await put('s.1', { displayName: 'Zoë Quine', email: 'zq@logic.example' });
    await put('s.2', { displayName: '100% Zo_e' });
    const found = async (words: string) =>
      (await searchRecipients(database, { words })).items.map(({ id }) => id).filter((id) => id.startsWith('s.'));
    expect(await found('ZOË')).toEqual(['s.1']);
    expect(await found('QUINE zq@')).toEqual(['s.1']);
    expect(await found('logic.EX')).toEqual(['s.1']);
    expect(await found('S.')).toEqual(['s.1', 's.2']);
    expect(await found('o_e')).toEqual(['s.2']);
    expect(await found('0% z')).toEqual(['s.2']);
    expect(await found('!')).toEqual([]);
    const first = await searchRecipients(database, { words: 's.', limit: 1 });
    expect(first.next).toBe('s.1');
    // The embedded PostgreSQL has trigrams; elsewhere the same search may go without them.
    expect(await database.query("select 1 from pg_indexes where indexname = 'recipient_words'")).toHaveLength(1);
  });

  it('are made with the default preferences when first seen, once, by however many at the same moment', async () => {
    const ids = Array.from({ length: 50 }, (_, i) => `seen-${i}`);
    const see = (order: string[]) => database.transaction((tx) => ensureRecipients(tx, order));
    const seen = await Promise.all([see(ids), see(ids.toReversed()), see([...ids.slice(25), ...ids.slice(0, 25)])]);
    for (const people of seen) {
      expect(people.size).toBe(50);
      for (const person of people.values()) expect(person.settings).toEqual({});
    }
    expect(await getPreferences(database, 'seen-7')).toEqual(defaultPreferences);
    const [{ count }] = (await database.query("select count(*) from preference where recipient_id like 'seen-%'")) as [
      { count: number },
    ];
    expect(count).toBe(50);
  });

  it('keep what they chose when they are seen again', async () => {
    const chosen = { SendNotificationToMobileDevice: false, categories: { hr: { email: false }, it: {} } };
    await database.transaction((tx) => putPreferences(tx, 'chooser', parsePreferences(chosen)));
    const people = await database.transaction((tx) => ensureRecipients(tx, ['chooser']));
    expect(people.get('chooser')?.settings).toEqual({
      SendNotificationToMobileDevice: false,
      categories: { hr: { email: false } },
    });
    await put('chooser', { displayName: 'C' });
    expect(await getPreferences(database, 'chooser')).toMatchObject({ SendNotificationToMobileDevice: false });
  });

  it('are gone with their preferences when deleted', async () => {
    await put('gone', {});
    await database.transaction((tx) => deleteRecipient(tx, 'gone'));
    expect(await findRecipients(database, ['gone'])).toEqual(new Map());
    await expect(getRecipient(database, 'gone')).rejects.toMatchObject({ code: 'recipient_not_found' });
    await expect(database.transaction((tx) => deleteRecipient(tx, 'gone'))).rejects.toMatchObject({
      code: 'recipient_not_found',
    });
  });
});
