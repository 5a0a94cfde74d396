import fc from 'fast-check';
import { expect, test } from 'vitest';
import { jsonTemplate, sentProperties, textTemplate, withVariables, xmlTemplate } from './template.ts';

const sent = {
  message: 'Grüße an "alle" & <dich>',
  Title: 'Hello',
  count: 3,
  price: '1.50',
  path: 'a b/ü',
  emoji: '🔔🔔🔔',
};
const json = (body: unknown, properties: Record<string, unknown> = sent): unknown =>
  JSON.parse(jsonTemplate(JSON.stringify(body)).render(sentProperties(properties)));

test.each([
  ['$(title)', 'Hello'],
  ['$(TITLE)', 'Hello'],
  ['$(nothing)', ''],
  ['$(title,3)', 'Hel'],
  ['$(title, 30)', 'Hello'],
  ['.(title,4)', 'H...'],
  ['.(title,5)', 'Hello'],
  ['.(title,2)', '..'],
  ['%(path)', 'a%20b%2F%C3%BC'],
  ['#(count)', 3],
  ['#(price)', 1.5],
  ['#(title)', 'Hello'],
  ['$(nothing:{a, (default\\}) })', 'a, (default}) '],
  ['$(title:{no})', 'Hello'],
  ['{$(title) + \', \' + .(message,8) + "!"}', 'Hello, Grüße...!'],
  ['{\'it\'\'s \' + """here"""}', 'it\'s "here"'],
  ['plain text $(title)', 'plain text $(title)'],
  ['', ''],
  ['$(emoji,3)', '🔔'],
])('%s is %o', (expression, expected) => {
  expect(json({ a: [expression] })).toEqual({ a: [expected] });
});

test('what is no expression stays, in its place and of its kind', () => {
  const body = { aps: { alert: '$(message)', badge: 1, flags: [true, null, {}, []] }, 'k"ey': 'x' };
  expect(json(body)).toEqual({ aps: { alert: sent.message, badge: 1, flags: [true, null, {}, []] }, 'k"ey': 'x' });
});

test.each([
  ['$body'],
  ['$(a'],
  ['$(a b)'],
  ['.(a)'],
  ['%(a,3)'],
  ['{$(a) $(b)}'],
  ['{#(a)}'],
  ['{}'],
  ["{'a' + }"],
  ['$(a)b'],
  ['$5 off'],
  [`$(${'a'.repeat(121)})`],
])('%s is refused when it is registered', (expression) => {
  expect(() => jsonTemplate(JSON.stringify({ a: expression }))).toThrow(/not valid/);
});

test('a template that is no JSON, or the whole body, is refused', () => {
  expect(() => jsonTemplate('{')).toThrow(/not JSON/);
  expect(() => jsonTemplate('$body')).toThrow(/not allowed/);
});

test('the values of XML attributes and leaves are expressions, and stay inside their place', () => {
  const toast =
    '<?xml version="1.0" encoding="utf-16"?><toast launch="$(path)" duration=\'long\'><visual><binding template="ToastText01">\n<text id="1">$(message)</text><text>{$(title) + \' &lt;3\'}</text><text>as is &amp; so</text><image src="%(path)"/></binding></visual></toast>';
  expect(xmlTemplate(toast).render(sentProperties(sent))).toBe(
    '<toast launch="a b/ü" duration=\'long\'><visual><binding template="ToastText01">\n<text id="1">Grüße an &quot;alle&quot; &amp; &lt;dich&gt;</text><text>Hello &lt;3</text><text>as is &amp; so</text><image src="a%20b%2F%C3%BC"/></binding></visual></toast>',
  );
});

test.each([['<toast'], ['<a b=c/>'], ['<!DOCTYPE a [<!ENTITY x "y">]><a/>'], ['<a>#(n)</a>'], ['<a>$(</a>']])(
  '%s is refused',
  (body) => {
    expect(() => xmlTemplate(body)).toThrow(/well-formed|not valid|no meaning/);
  },
);

test('the properties of the send win over the device’s own', () => {
  const settled = sentProperties({ Name: 'sent', gone: null });
  const properties = withVariables(settled, { name: 'own', team: 'red', gone: 'kept' });
  const template = textTemplate("{$(name) + '-' + $(team) + '-' + $(gone)}");
  expect(template.render(properties)).toBe('sent-red-kept');
  expect(template.fill(settled).render(properties)).toBe('sent-red-kept');
  expect([...template.fill(settled).names]).toEqual(['team', 'gone']);
  expect([...jsonTemplate('{"a":"{$(B) + %(c)}","d":"#(E)"}').names]).toEqual(['b', 'c', 'e']);
});

test('no property can break out of JSON or XML', () => {
  const value = fc.string({ unit: 'binary', maxLength: 50 });
  const asJson = jsonTemplate('{"a":"$(p)","b":"#(p)","c":"{\'x\' + $(p)}"}');
  const asXml = xmlTemplate('<t a="$(p)"><x>$(p)</x></t>');
  fc.assert(
    fc.property(value, (p) => {
      const properties = sentProperties({ p });
      const parsed = JSON.parse(asJson.render(properties)) as { a: string };
      expect(Object.keys(parsed)).toEqual(['a', 'b', 'c']);
      expect(parsed.a).toBe(p);
      for (const each of [asJson, asXml])
        expect(each.fill(properties).render(properties)).toBe(each.render(properties));
      expect(asXml.render(properties)).toMatch(/^<t a="[^"<]*"><x>[^<]*<\/x><\/t>$/);
    }),
  );
});

test('any text is either a template or refused', () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 60 }), fc.constantFrom('$', '.', '%', '#', '{', '<', ''), (text, start) => {
      for (const make of [textTemplate, xmlTemplate, (body: string) => jsonTemplate(JSON.stringify([body]))])
        try {
          expect(typeof make(start + text).render(sentProperties({}))).toBe('string');
        } catch (error) {
          expect((error as Error).name).toBe('Refusal');
        }
    }),
    { numRuns: 500 },
  );
});
