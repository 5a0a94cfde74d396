import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bareAddress, isMailAddress, withoutAddresses } from './address.ts';
import { connectOutcome, smtpOutcome } from './smtp-outcome.ts';
import { signUnsubscribe, type UnsubscribeKeys, unsubscribe, verifyUnsubscribe } from './unsubscribe.ts';

describe('mail addresses', () => {
  it.each(['ada@example.org', 'a.b+c@sub.example.org', "o'hara@example.org", 'zoë@example.org', 'ada@bücher.example'])(
    'takes %s',
    (address) => expect(isMailAddress(address)).toBe(true),
  );

  it.each([
    '',
    'ada',
    '@example.org',
    'ada@',
    'a b@example.org',
    'ada@example.org\r\nRCPT TO:<eve@example.org>',
    'ada@example.org,eve@example.org',
    '"a b"@example.org',
    '<ada@example.org>',
    'ada..b@example.org',
    'ada@exa mple.org',
    'ada@-example.org',
    `${'a'.repeat(65)}@example.org`,
    `ada@${'a.'.repeat(130)}org`,
  ])('refuses %j', (address) => expect(isMailAddress(address)).toBe(false));

  it('finds the address in a name with an address', () => {
    expect(bareAddress('Carillon <no-reply@example.org>')).toBe('no-reply@example.org');
    expect(bareAddress(' no-reply@example.org ')).toBe('no-reply@example.org');
  });

  it('keeps addresses out of what is stored', () => {
    expect(withoutAddresses('550 5.1.1 <ada@example.org>: unknown, see bob@x.example')).not.toContain('@');
  });
});

describe('what an SMTP failure means', () => {
  const rcpt = (response: string) =>
    smtpOutcome({ code: 'EENVELOPE', command: 'RCPT TO', responseCode: Number(response.slice(0, 3)), response });

  it.each([
    ['450 4.2.1 Mailbox busy', 'retry', 'smtp_450_4.2.1'],
    ['451 Greylisted', 'retry', 'smtp_451'],
    ['452 4.2.2 Mailbox full', 'retry', 'smtp_452_4.2.2'],
    ['503 Bad sequence', 'retry', 'smtp_503'],
    ['550 5.1.1 <a@b.example> User unknown', 'gone', 'smtp_550_5.1.1'],
    ['550-5.1.1 The email account does not exist', 'gone', 'smtp_550_5.1.1'],
    ['556 5.1.10 Null MX', 'gone', 'smtp_556_5.1.10'],
    ['550 5.7.1 Relaying denied', 'refused', 'smtp_550_5.7.1'],
    ['550 No', 'refused', 'smtp_550'],
    ['421 4.3.2 Closing', 'unclear', 'smtp_421'],
  ])('%s to the recipient: %s', (response, kind, cause) => expect(rcpt(response)).toMatchObject({ kind, cause }));

  it('takes a refusal of the sender or of the credentials as ours to mend', () => {
    const sender = { code: 'EENVELOPE', command: 'MAIL FROM', responseCode: 553, response: '553 5.7.1 Not you' };
    expect(smtpOutcome(sender)).toMatchObject({ kind: 'down', alarm: true });
    const login = { code: 'EAUTH', command: 'AUTH PLAIN', responseCode: 535, response: '535 5.7.8 No' };
    expect(smtpOutcome(login)).toMatchObject({ kind: 'down', cause: 'smtp_auth', alarm: true });
    const later = { code: 'EAUTH', command: 'AUTH PLAIN', responseCode: 454, response: '454 4.7.0 Later' };
    expect(smtpOutcome(later)).toMatchObject({ kind: 'down', alarm: false });
  });

  it('refuses what is too large instead of waiting for ever', () => {
    const large = { code: 'EENVELOPE', command: 'MAIL FROM', responseCode: 552, response: '552 5.3.4 Too large' };
    expect(smtpOutcome(large)).toMatchObject({ kind: 'refused' });
  });

  it('does not know whose fault silence is', () => {
    for (const code of ['ECONNECTION', 'ESOCKET', 'ETIMEDOUT', 'EABORT', undefined]) {
      expect(smtpOutcome({ code, command: 'CONN', message: 'x' }).kind).toBe('unclear');
    }
  });

  it('calls the channel down when a fresh connection fails, whatever the reason', () => {
    const failure = fc.record({
      code: fc.constantFrom('ECONNECTION', 'ESOCKET', 'EDNS', 'EAUTH', 'EPROTOCOL', 'ETLS', 'EENVELOPE', undefined),
      responseCode: fc.option(fc.integer({ min: 400, max: 599 }), { nil: undefined }),
      command: fc.constantFrom('CONN', 'EHLO', 'AUTH PLAIN', 'RCPT TO', undefined),
    });
    fc.assert(
      fc.property(failure, (given) => {
        expect(connectOutcome(given).kind).toBe('down');
      }),
    );
    expect(connectOutcome({ code: 'EPROTOCOL', responseCode: 554, command: 'CONN' })).toMatchObject({ alarm: true });
    expect(connectOutcome({ code: 'ESOCKET', command: 'CONN' })).toMatchObject({ cause: 'smtp_unreachable' });
  });
});

describe('unsubscribe links', () => {
  const keys: UnsubscribeKeys = [Buffer.alloc(32, 1)];
  const what = { recipientId: 'ada@example.org', category: 'hr/joined "x"' };

  it('say what was signed', () => {
    expect(verifyUnsubscribe(signUnsubscribe(what, keys), keys)).toEqual(what);
    expect(signUnsubscribe(what, keys)).toMatch(/^[\w-]+\.[\w-]+$/);
  });

  it('stay valid when the key is replaced, as long as the old one is kept', () => {
    const token = signUnsubscribe(what, keys);
    expect(verifyUnsubscribe(token, [Buffer.alloc(32, 2), ...keys])).toEqual(what);
    expect(() => verifyUnsubscribe(token, [Buffer.alloc(32, 2)])).toThrow('not made by this server');
  });

  it('are worth nothing once a character is changed', () => {
    const token = signUnsubscribe(what, keys);
    fc.assert(
      fc.property(fc.nat(token.length - 2), fc.constantFrom(...'AZaz09_-.'), (at, character) => {
        const forged = token.slice(0, at) + character + token.slice(at + 1);
        if (forged !== token) expect(() => verifyUnsubscribe(forged, keys)).toThrow();
      }),
    );
    for (const nonsense of ['', '.', 'a.b', `${token}.`, `${token}.x`, 'null.']) {
      expect(() => verifyUnsubscribe(nonsense, keys)).toThrow();
    }
  });

  it('switch off what they name, and nothing when forged', async () => {
    const off: unknown[] = [];
    const deps = { keys, switchOff: async (each: unknown) => void off.push(each) };
    expect(await unsubscribe(deps, signUnsubscribe(what, keys))).toEqual(what);
    await expect(unsubscribe(deps, 'forged.token')).rejects.toMatchObject({ code: 'unsubscribe_link_invalid' });
    expect(off).toEqual([what]);
  });
});
