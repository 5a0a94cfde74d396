import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Bytes } from './bytes.ts';
import { RowProperties, ShortRows } from './short-rows.ts';
import { sentProperties, withVariables } from './template.ts';

const text = fc.oneof(
  fc.string({ unit: 'binary', minLength: 1, maxLength: 20 }),
  fc.constantFrom('"', '\\', '","apns","', 'x","', '\\"', '[', ']', '{', '}', ',', 'id-1', 'id-2'),
);
const variables = fc.dictionary(fc.oneof(fc.constantFrom('name', 'NAME', 'a'), text), fc.oneof(text, fc.nat(9)), {
  maxKeys: 3,
});
const short = fc.record({
  id: text,
  platform: fc.constantFrom('apns', 'fcmv1', 'browser'),
  address: fc.oneof(text, fc.record({ endpoint: text, auth: text })),
  key: fc.constantFrom('key', 'other key'),
  variables: fc.oneof(variables, fc.constant(null)),
});
type Short = Readonly<{ id: string; platform: string; address: unknown; key: string; variables: object | null }>;
const whole = fc.record({ installationId: text, tags: fc.array(text), secondaryTiles: fc.object() });
const rowsOf = fc.array(fc.oneof({ weight: 4, arbitrary: short }, whole), { minLength: 1, maxLength: 8 });

const write = (row: object) =>
  'key' in row
    ? (({ id, platform, address, key, variables: own }: Short) =>
        `[${[id, platform, address, key].map((each) => JSON.stringify(each)).join()},${spaced(own)}]`)(row as Short)
    : JSON.stringify(row);
/** As others write JSON. */
const spaced = (own: object | null) => JSON.stringify(own, undefined, 1);

test('every row is found again, and of those in the short form what they hold, whatever that is', () => {
  fc.assert(
    fc.property(rowsOf, (given) => {
      const rows = new ShortRows(given.map(write).join(), given.length);
      given.forEach((row, i) => {
        expect(rows.text(i)).toBe(write(row));
        expect(rows.appAt(i) >= 0).toBe('key' in row);
        if (!('key' in row)) return;
        const { id, platform, address, key, variables: own } = row as Short;
        expect(rows.apps[rows.appAt(i)]).toMatchObject({ platform, key });
        expect(rows.idAt(i)).toBe(id);
        const isPlain = (each: unknown) => typeof each === 'string' && JSON.stringify(each) === `"${each}"`;
        expect(rows.isPlain(i)).toBe(isPlain(id) && isPlain(address));
        expect(rows.bytes.slice(rows.variablesStart(i), rows.variablesEnd(i))).toBe(spaced(own));
        if (!rows.isPlain(i)) return;
        const spans = [rows.idStart(i), rows.idEnd(i), rows.addressStart(i), rows.addressEnd(i)] as const;
        expect([rows.bytes.slice(spans[0], spans[1]), rows.bytes.slice(spans[2], spans[3])]).toEqual([
          Buffer.from(id).toString(),
          Buffer.from(address as string).toString(),
        ]);
      });
    }),
    { numRuns: 1_000 },
  );
});

test('properties are the same as bytes and as texts', () => {
  const sent = fc.constantFrom({}, { name: 'sent' });
  fc.assert(
    fc.property(fc.array(variables, { minLength: 1, maxLength: 4 }), sent, (given, sentOnes) => {
      const rows = new ShortRows(
        given.map((own, i) => `["id${i}","apns","aa","key",${spaced(own)}]`).join(),
        given.length,
      );
      const sentMap = sentProperties(sentOnes);
      const properties = new RowProperties(sentMap, rows);
      given.forEach((own, i) => {
        properties.moveTo(i);
        const wanted = withVariables(sentMap, own as Record<string, string>);
        for (const name of ['name', 'a', 'none']) {
          const out = new Bytes(10);
          if (properties.copy(name, out)) expect(JSON.parse(`"${out.slice(0, out.length)}"`)).toBe(wanted.get(name));
          expect(properties.get(name)).toBe(wanted.get(name));
        }
        if (sentMap.size === 0 && typeof own.name === 'string' && Object.keys(own)[0] === 'name')
          expect(properties.copy('name', new Bytes(10))).toBe(true);
      });
    }),
    { numRuns: 1_000 },
  );
});
