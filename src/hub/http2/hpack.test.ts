import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Bytes } from '../bytes.ts';
import { isFieldName } from './answer.ts';
import { ConnectionError } from './frames.ts';
import { HpackDecoder } from './hpack-decoder.ts';
import { HpackEncoder, writeFields } from './hpack-encoder.ts';
import { PlainAnswers } from './plain-answers.ts';
import { type RequestHead, SingleCall } from './port.ts';

const bytes = (hex: string): Buffer => Buffer.from(hex.replace(/\s/g, ''), 'hex');

function decode(decoder: HpackDecoder, block: Buffer): string[] {
  const fields: string[] = [];
  decoder.decode(block, 0, block.length, fields);
  return fields;
}

const get = (path: string, scheme = 'http'): string[] => [
  ':method',
  'GET',
  ':scheme',
  scheme,
  ':path',
  path,
  ':authority',
  'www.example.com',
];
const answer = (status: string, second: number): string[] => [
  ...[':status', status, 'cache-control', 'private', 'date', `Mon, 21 Oct 2013 20:13:${second} GMT`],
  ...['location', 'https://www.example.com'],
];
const cookie = 'foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1';
const requests = [
  get('/'),
  [...get('/'), 'cache-control', 'no-cache'],
  [...get('/index.html', 'https'), 'custom-key', 'custom-value'],
];
const answers = [
  answer('302', 21),
  answer('307', 21),
  [...answer('200', 22), 'content-encoding', 'gzip', 'set-cookie', cookie],
];

// RFC 7541 appendix C: blocks in the order of one connection, the fields they hold, and the table's size after each.
const vectors: readonly (readonly [string, number, readonly string[], readonly string[][], readonly number[]])[] = [
  [
    'C.2.1',
    4096,
    ['400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572'],
    [['custom-key', 'custom-header']],
    [55],
  ],
  ['C.2.2', 4096, ['040c 2f73 616d 706c 652f 7061 7468'], [[':path', '/sample/path']], [0]],
  ['C.2.3', 4096, ['1008 7061 7373 776f 7264 0673 6563 7265 74'], [['password', 'secret']], [0]],
  ['C.2.4', 4096, ['82'], [[':method', 'GET']], [0]],
  [
    'C.3',
    4096,
    [
      '8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d',
      '8286 84be 5808 6e6f 2d63 6163 6865',
      '8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65',
    ],
    requests,
    [57, 110, 164],
  ],
  [
    'C.4',
    4096,
    [
      '8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff',
      '8286 84be 5886 a8eb 1064 9cbf',
      '8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf',
    ],
    requests,
    [57, 110, 164],
  ],
  [
    'C.5',
    256,
    [
      '4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d',
      '4803 3330 37c1 c0bf',
      '88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31',
    ],
    answers,
    [222, 222, 215],
  ],
  [
    'C.6',
    256,
    [
      '4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3',
      '4883 640e ffc1 c0bf',
      '88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07',
    ],
    answers,
    [222, 222, 215],
  ],
];

/** The RFC prints C.5 and C.6 with the fields in the order in which the block holds them. */
test.each(vectors)('the vectors of RFC 7541 %s decode', (_, limit, blocks, expected, sizes) => {
  const decoder = new HpackDecoder(limit, 10_000);
  blocks.forEach((block, i) => {
    expect(pairs(decode(decoder, bytes(block)))).toEqual(pairs(expected[i]!));
    expect(decoder.tableBytes).toBe(sizes[i]);
  });
});

/** Sorted, for the request vectors name `:authority` after `:path`, as we do, and the third answer keeps its own order. */
function pairs(fields: readonly string[]): string[] {
  return fields.flatMap((name, i) => (i % 2 === 0 ? [`${name}: ${fields[i + 1]}`] : []));
}

const refused: readonly (readonly [string, string])[] = [
  ['an index of 0', '80'],
  ['an entry that is not there', 'be'],
  ['a string that runs past the block', '0005 61'],
  ['an integer without end', 'ffff ffff ffff ffff ff'],
  ['a Huffman string with EOS', '0001 6184 ffff ffff'],
  ['a Huffman string with padding of zeros', '0001 6181 18'],
  ['a Huffman string with a byte of padding', '0001 6182 1fff'],
  ['a table size above the limit', '3fe2 1f'],
  ['a table size after a field', '8820'],
];

test.each(refused)('%s is refused', (_, hex) => {
  expect(() => decode(new HpackDecoder(4096, 1000), bytes(hex))).toThrow(ConnectionError);
});

test('a list longer than we take is refused, however small its block', () => {
  const decoder = new HpackDecoder(4096, 10_000);
  decode(decoder, Buffer.concat([bytes('4001 617f 8107'), Buffer.alloc(1024, 'b')]));
  expect(() => decode(decoder, Buffer.alloc(100, 0xbe))).toThrow(/too long/);
});

test('no bytes can make the decoder do anything but decode or refuse', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 5 }), fc.nat(5000), (blocks, limit) => {
      const decoder = new HpackDecoder(limit, 10_000);
      try {
        for (const block of blocks) expect(decode(decoder, Buffer.from(block)).length % 2).toBe(0);
      } catch (error) {
        if (!(error instanceof ConnectionError)) throw error;
      }
      expect(decoder.tableBytes).toBeLessThanOrEqual(limit);
    }),
    { numRuns: 2000 },
  );
});

const name = fc.constantFrom('authorization', 'apns-topic', 'apns-push-type', 'ttl', 'x-very-own', 'content-type');
const value = fc.oneof(
  fc.string({ unit: 'binary-ascii', maxLength: 40 }),
  fc.string({ unit: 'binary-ascii', minLength: 1500, maxLength: 3000 }),
);
const fieldList = fc.array(fc.tuple(name, value), { maxLength: 5 }).map((list) => list.flat());

const callOf = (head: RequestHead, path: string) =>
  new SingleCall({ head, path, fields: [], body: '', settle: () => {} });

test('whatever heads are written in whatever order, under whatever table sizes, decodes to what was meant', () => {
  const heads = fc.array(fieldList, { minLength: 1, maxLength: 4 });
  const step = fc.record({ head: fc.nat(3), fields: fieldList, limit: fc.option(fc.nat(6000), { freq: 5 }) });
  fc.assert(
    fc.property(heads, fc.array(step, { maxLength: 30 }), (headFields, steps) => {
      const made = headFields.map((fields): RequestHead => ({ method: 'POST', authority: 'h', fields }));
      const encoder = new HpackEncoder();
      const decoder = new HpackDecoder(6000, 1_000_000);
      for (const { head, fields, limit } of steps) {
        if (limit !== null) encoder.limitTable(limit);
        const chosen = made[head % made.length]!;
        const call = callOf(chosen, '/p');
        const out = new Bytes(encoder.bound(call, 0, fields));
        const end = encoder.write(out, 0, call, 0, fields);
        const expected = [
          ':method',
          'POST',
          ':scheme',
          'https',
          ':authority',
          'h',
          ':path',
          '/p',
          ...chosen.fields,
          ...fields,
        ];
        expect(decode(decoder, out.buffer.subarray(0, end))).toEqual(expected);
      }
    }),
    { numRuns: 300 },
  );
});

test('the second call of a head is a few bytes', () => {
  const encoder = new HpackEncoder();
  const head: RequestHead = {
    method: 'POST',
    authority: 'api.push.apple.com',
    fields: ['authorization', `bearer ${'x'.repeat(200)}`, 'apns-topic', 'a.b'],
  };
  const call = callOf(head, '/3/device/1');
  const out = new Bytes(2000);
  encoder.write(out, 0, call, 0, []);
  expect(encoder.write(out, 0, call, 0, [])).toBe('/3/device/1'.length + 2 + 5);
});

test('a table that shrank and grew between two blocks is told of both sizes', () => {
  const encoder = new HpackEncoder();
  const plain: RequestHead = { method: 'POST', authority: 'h', fields: [] };
  const out = new Bytes(200);
  encoder.limitTable(100);
  encoder.limitTable(4096);
  encoder.write(out, 0, callOf(plain, '/'), 0, []);
  // 100 and 4096 as integers with a prefix of five bits.
  expect(out.buffer.subarray(0, 5)).toEqual(bytes('3f45 3fe1 1f'));
});

test.each([
  ['the status alone', '88', true],
  ['a field with an own name', '88 0007 6170 6e73 2d69 6403 616263', true],
  ['a name in Huffman code', '88 0088 25a849e95ba97d7f 03 616263', true],
  ['a name in a broken Huffman code', '88 0081 00 03 616263', false],
  ['a field that must never be indexed', '88 1007 6170 6e73 2d69 6403 616263', true],
  ['a date and an empty field of the static table', '88 0f12 03 616263 b3', true],
  ['another status', '8d', false],
  ['200 as a literal', '0803 323030', false],
  ['a field for the table', '88 4007 6170 6e73 2d69 6403 616263', false],
  ['a reference to the table', '88 be', false],
  ['a change of the size of the table', '20 88', false],
  ['a status twice', '88 88', false],
  ['a length that has to agree with the body', '88 0f0d 02 3132', false],
  ['a field of connections', '88 0f2a 07 6368756e6b6564', false],
  ['the same by its name', '88 000a 636f6e6e656374696f6e 01 61', false],
  ['a name in capitals', '88 0004 44617465 01 61', false],
  ['a name that is cut off', '88 0007 6170', false],
  ['a value that is cut off', '88 0007 6170 6e73 2d69 6405 616263', false],
  ['no value', '88 0007 6170 6e73 2d69 64', false],
  ['an index that is cut off', '88 0f', false],
])('whether a block need not be decoded: %s', (_, hex, plain) => {
  const block = bytes(hex);
  // Something follows it in the same chunk.
  const chunk = Buffer.concat([block, Buffer.from('88000161')]);
  const answers = new PlainAnswers();
  for (let again = 0; again < 2; again += 1) expect(answers.has(chunk, 0, block.length)).toBe(plain);
});

test('what need not be decoded is what decodes to 200 and good fields, and leaves the table as it is', () => {
  const fields = fc.array(
    fc.tuple(
      fc.constantFrom('apns-id', 'date', 'x-own', 'Bad', 'upgrade', 'vary', ':path'),
      fc.string({ unit: 'binary-ascii', maxLength: 150 }),
    ),
    { maxLength: 4 },
  );
  const answers = new PlainAnswers();
  fc.assert(
    fc.property(fields, fc.array(fc.nat(255), { maxLength: 6 }), (list, more) => {
      const block = Buffer.alloc(2000);
      block[0] = 0x88;
      let end = writeFields(block, 1, list.flat());
      for (const byte of more) block[end++] = byte;
      if (!answers.has(block, 0, end)) return;
      const decoder = new HpackDecoder(4096, 100_000);
      const [status, code, ...rest] = decode(decoder, block.subarray(0, end));
      expect([status, code, decoder.tableBytes]).toEqual([':status', '200', 0]);
      expect(rest.filter((_, i) => i % 2 === 0).every(isFieldName)).toBe(true);
    }),
    { numRuns: 2_000 },
  );
});
