import fc from 'fast-check';
import rhea from 'rhea';
import { describe, expect, it } from 'vitest';
import { AmqpDescribed, AmqpSymbol, AmqpUuid, type AmqpValue, Reader } from './decode.ts';
import * as to from './encode.ts';
import { toOutgoing } from './incoming.ts';
import { APPLICATION_PROPERTIES, contentOf, decodeSection, MESSAGE_ANNOTATIONS, splitSections } from './sections.ts';

const leaf = fc.oneof(
  fc.constant(null),
  fc.boolean(),
  fc.integer(),
  fc.double({ noNaN: true }),
  fc.bigInt({ min: 2n ** 60n, max: 2n ** 63n - 1n }),
  fc.string({ unit: 'grapheme' }),
  fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
  fc.date({ noInvalidDate: true }),
  fc.string({ unit: 'grapheme-ascii' }).map((text) => new AmqpSymbol(text)),
  fc.uint8Array({ minLength: 16, maxLength: 16 }).map((bytes) => new AmqpUuid(Buffer.from(bytes))),
);

const { value: anyValue } = fc.letrec<{ value: AmqpValue }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    leaf,
    fc.array(tie('value'), { maxLength: 5 }),
    fc
      .array(fc.tuple(fc.string(), tie('value')), { maxLength: 5 })
      .map((entries) => new Map<AmqpValue, AmqpValue>(entries)),
    tie('value').map((value) => new AmqpDescribed(7, value)),
  ),
}));

describe('AMQP values', () => {
  it('come back as they were encoded, and are skipped to the same place', () => {
    fc.assert(
      fc.property(anyValue, (value) => {
        const bytes = to.encode(value);
        const reader = new Reader(bytes);
        expect(reader.value()).toEqual(value);
        expect(reader.done).toBe(true);
        const skipper = new Reader(bytes);
        skipper.skip();
        expect(skipper.position).toBe(bytes.length);
      }),
    );
  });

  it('that are garbage are refused, never looped over or misread beyond their end', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        const reader = new Reader(Buffer.from(bytes));
        try {
          reader.value();
        } catch (error) {
          expect(error).toMatchObject({ code: 'amqp_malformed' });
        }
        expect(reader.position).toBeLessThanOrEqual(bytes.length);
      }),
      { numRuns: 2000 },
    );
  });
});

describe('message sections', () => {
  const encoded = rhea.message.encode({
    ttl: 5000,
    message_id: 'm1',
    subject: 'greeting',
    message_annotations: { 'x-opt-partition-key': 'p' },
    application_properties: { amount: 12, vip: true },
    body: rhea.message.data_section(Buffer.from('{"a":1}')),
  });

  it('are found in a message that rhea encoded', () => {
    const sections = splitSections(encoded);
    expect(decodeSection(sections, MESSAGE_ANNOTATIONS)).toEqual(
      new Map([[new AmqpSymbol('x-opt-partition-key'), 'p']]),
    );
    expect(decodeSection(sections, APPLICATION_PROPERTIES)).toEqual(
      new Map<AmqpValue, AmqpValue>([
        ['amount', 12],
        ['vip', true],
      ]),
    );
    expect(contentOf(sections).toString()).toBe('{"a":1}');
    expect(sections.bytes[sections.bareStart + 2]).toBe(0x73);
  });

  it('of an AMQP value give text or JSON to whoever does not speak AMQP', () => {
    const content = (body: unknown) => contentOf(splitSections(rhea.message.encode({ body }))).toString();
    expect(content('hello')).toBe('hello');
    expect(JSON.parse(content({ a: 1, b: ['x'] }))).toEqual({ a: 1, b: ['x'] });
  });

  it('whose descriptors describe descriptors without end are refused', () => {
    const endless = Buffer.concat([Buffer.from([0x00, 0x53, 0x77]), Buffer.alloc(1_000_000)]);
    expect(() => splitSections(endless)).toThrow(expect.objectContaining({ code: 'amqp_malformed' }));
  });

  it('with a property that is no time of this world are refused, so that nobody fails at reading them', () => {
    const late = Buffer.alloc(9);
    late[0] = 0x83;
    late.writeBigInt64BE(2n ** 62n, 1);
    const message = to.section(APPLICATION_PROPERTIES, to.map([to.string('when'), late]));
    expect(() => toOutgoing(message)).toThrow(expect.objectContaining({ code: 'amqp_malformed' }));
  });

  it('that are cut short are refused', () => {
    for (let length = 1; length < encoded.length; length++) {
      const cut = encoded.subarray(0, length);
      try {
        splitSections(cut);
      } catch (error) {
        expect(error).toMatchObject({ code: 'amqp_malformed' });
      }
    }
    expect(() => splitSections(Buffer.from('hello'))).toThrow('descriptor');
  });
});
