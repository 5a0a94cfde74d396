import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { escapeHtml, renderHtml } from './html.ts';
import { defaultBrand, type Letter, type LetterLinks, oneLine } from './letter.ts';
import { renderText } from './text.ts';

const links: LetterLinks = {
  notice: 'https://carillon.example/me#/notice/ntc_1',
  preferences: 'https://carillon.example/me#/preferences',
  unsubscribe: 'https://carillon.example/v1/unsubscribe/x.y',
};

function letter(card: Letter['card'], over: Partial<Letter> = {}): Letter {
  return { card, category: 'hr', recipientId: 'ada', noticeId: 'ntc_1', ...over };
}

const html = (card: Letter['card'], over: Partial<Letter> = {}) => renderHtml(letter(card, over), links, defaultBrand);
const text = (card: Letter['card'], over: Partial<Letter> = {}) => renderText(letter(card, over), links, defaultBrand);

const full: Letter['card'] = {
  title: 'Budget approval: Q3 tooling',
  body: 'Mallory asks you to approve a budget.\n\nIt is for the compiler team,\nfrom July to September.',
  facts: [
    { label: 'Amount', value: '12,500 €' },
    { label: 'Cost centre', value: '4711' },
  ],
  link: { label: 'See the request', url: 'https://finance.example/r/1?a=1&b=2' },
  actions: [
    { id: 'yes', label: 'Approve', style: 'primary' },
    { id: 'no', label: 'Reject', style: 'danger' },
  ],
};

describe('rendering a mail', () => {
  it('says the same in text as in HTML', () => {
    for (const words of ['Budget approval: Q3 tooling', 'from July to September.', '12,500 €', 'Approve / Reject']) {
      expect(html(full)).toContain(words);
      expect(text(full)).toContain(words);
    }
    expect(html(full)).toContain('href="https://finance.example/r/1?a=1&#38;b=2"');
    expect(text(full)).toContain('https://finance.example/r/1?a=1&b=2');
  });

  it('has a button for each answer that can be given from the mail, and none once it is decided', () => {
    const answers = new Map([
      ['yes', 'https://carillon.example/v1/answers/yes.1'],
      ['no', 'https://carillon.example/v1/answers/no.1'],
    ]);
    const page = renderHtml(letter(full), { ...links, answers }, defaultBrand);
    for (const [id, label] of [
      ['yes', 'Approve'],
      ['no', 'Reject'],
    ]) {
      expect(page).toMatch(new RegExp(`href="https://carillon.example/v1/answers/${id}.1"[^>]*>${label}</a>`));
      expect(renderText(letter(full), { ...links, answers }, defaultBrand)).toContain(
        `${label}:\nhttps://carillon.example/v1/answers/${id}.1`,
      );
    }
    const settled = { settled: 'Approved by Bob on 22 Nov 2026' };
    expect(html(full, settled)).toContain('Approved by Bob');
    expect(text(full, settled)).toContain('Approved by Bob');
    expect(html(full, settled) + text(full, settled)).not.toMatch(/Answer:|Your answer/);
  });

  it('renders a card that has nothing but a title', () => {
    expect(html({ title: 'Only this' })).toContain('Only this</h1>');
    expect(html({ title: 'Only this' })).not.toMatch(/<p |undefined|<table width/);
    expect(text({ title: 'Only this' })).toMatch(/^Only this\n=========\n\n-- \n/);
  });

  it('is an accessible document: language, direction, title, header cells, layout tables out of the way', () => {
    const page = html(full, { locale: 'de-AT' });
    expect(page).toContain('<html lang="de-AT" dir="ltr">');
    expect(page).toContain('<title>Budget approval: Q3 tooling</title>');
    expect(page.match(/<th scope="row"/g)).toHaveLength(2);
    expect(page.match(/<table (?!role="presentation")/g)).toHaveLength(1); // the facts, which are a table
    expect(html(full, { locale: 'ar-EG' })).toContain('dir="rtl"');
  });

  it('loads nothing from anywhere', () => {
    expect(html(full)).not.toMatch(/<(img|script|link|iframe|object|video)\b|url\(|@import/i);
  });

  it('offers no unsubscribing where it cannot be done', () => {
    const fixed = { ...links, unsubscribe: undefined };
    expect(renderHtml(letter(full, { mandatory: true }), fixed, defaultBrand)).not.toContain('nsubscribe');
    expect(renderText(letter(full, { mandatory: true }), fixed, defaultBrand)).not.toContain('No more mails');
  });

  it('lets no text of a card become markup, wherever it stands', () => {
    const evil = `"'><img src=x onerror=alert(1)></style></title><script>x</script><!--`;
    const page = html(
      { title: evil, body: evil, facts: [{ label: evil, value: evil }], actions: [{ id: 'a', label: evil }] },
      { category: evil, categoryTitle: evil, locale: evil },
    );
    expect(tagsOf(page)).toEqual(
      tagsOf(html({ title: 'x', body: 'x', facts: [{ label: 'x', value: 'x' }], actions: [{ id: 'a', label: 'x' }] })),
    );
  });

  it('keeps its structure whatever the text is', () => {
    const plain = tagsOf(html({ title: 'x', body: 'x', facts: [{ label: 'x', value: 'x' }] }));
    const any = fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom('<b>', '"', "'>", '&lt;', '<!--', ']]>'));
    fc.assert(
      fc.property(any, any, (one, two) => {
        const line = `x${oneLine(`${one}${two}`)}`;
        expect(tagsOf(html({ title: line, body: line, facts: [{ label: line, value: line }] }))).toEqual(plain);
      }),
    );
  });

  it('makes a link of http and https only', () => {
    const hostile = ['javascript:alert(1)', 'data:text/html,x', ' javascript:alert(1)', 'vbscript:x', '//x.example'];
    for (const url of hostile) expect(html({ title: 'x', link: { label: 'Click', url } })).not.toContain('Click');
  });

  it('cannot be told to show a text backwards or to break a line of a header', () => {
    expect(oneLine('invoice\u202Efdp.exe\r\nBcc: all@example.org\0')).toBe('invoice fdp.exe Bcc: all@example.org');
    expect(oneLine('x'.repeat(300))).toHaveLength(200);
    expect(oneLine(`${'x'.repeat(198)}😀😀`).isWellFormed()).toBe(true);
  });

  it('falls back to its own colour when the brand’s is none', () => {
    const page = renderHtml(letter(full), links, { name: 'A & B', color: 'red;}</style><script>' });
    expect(page).toContain('A &#38; B');
    expect(page).not.toContain('<script>');
  });

  it('escapes what a browser would read', () => {
    const read = (value: string) =>
      value.replaceAll(/&#(\d+);/g, (_, code: string) => String.fromCharCode(Number(code)));
    fc.assert(
      fc.property(fc.string(), (value) => {
        expect(escapeHtml(value)).not.toMatch(/[<>"']/);
        expect(read(escapeHtml(value.replaceAll('&#', '')))).toBe(value.replaceAll('&#', ''));
      }),
    );
  });
});

/** The tags of a page with the names of their attributes: its structure without its texts. */
function tagsOf(page: string): string[] {
  return [...page.matchAll(/<(\/?[a-z!][a-z0-9]*)((?:\s+[a-z-]+(?:="[^"]*")?)*)[^>]*>/gi)].map(
    ([, name, attributes]) =>
      `${name} ${[...attributes!.matchAll(/([a-z-]+)(?==")/gi)].map((each) => each[1]).join(' ')}`,
  );
}
