import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isExpired, isSignedBy, parseSasToken, signSasToken } from './sas.ts';

const now = new Date('2026-01-01T00:00:00Z');

describe('shared access signatures', () => {
  it('accepts what it signed, whatever the names and keys', () => {
    const words = fc.string({ minLength: 1 });
    fc.assert(
      fc.property(words, words, words, (path, name, key) => {
        const token = parseSasToken(signSasToken(`sb://host/${path}`, name, key, 60, now))!;
        expect(token).toMatchObject({ keyName: name, resource: `sb://host/${path}` });
        expect(isSignedBy(token, key)).toBe(true);
        expect(isSignedBy(token, `${key}x`)).toBe(false);
      }),
    );
  });

  it('reads the fields in any order and signs the resource as it stands', () => {
    const text = signSasToken('sb://Host/My Topic', 'Root', 'k', 60, now);
    const shuffled = `SharedAccessSignature ${text.slice(22).split('&').reverse().join('&')}`;
    expect(isSignedBy(parseSasToken(shuffled)!, 'k')).toBe(true);
    const altered = parseSasToken(text.replace('My%20Topic', 'my%20topic'))!;
    expect(isSignedBy(altered, 'k')).toBe(false);
  });

  it('expires at its second', () => {
    const token = parseSasToken(signSasToken('sb://h/t', 'n', 'k', 60, now))!;
    expect(isExpired(token, new Date(now.getTime() + 59_999))).toBe(false);
    expect(isExpired(token, new Date(now.getTime() + 60_000))).toBe(true);
  });

  it.each([
    '',
    'Bearer x',
    'SharedAccessSignature ',
    'SharedAccessSignature sr=%&sig=a&se=1&skn=n',
    'SharedAccessSignature sr=a&sig=b&se=soon&skn=n',
  ])('takes %j for no token', (text) => expect(parseSasToken(text)).toBeUndefined());
});
