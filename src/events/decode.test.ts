import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Refusal } from '../kit/refusal.ts';
import { type CloudEvent, defaultLimits } from './cloudevent.ts';
import { decodeEvents, type Headers } from './decode.ts';

const now = new Date('2026-11-22T08:00:00Z');
const ce = { 'ce-specversion': '1.0', 'ce-id': '1', 'ce-source': '/hr', 'ce-type': 'hr.employee.joined' };
const own = { specversion: '1.0', id: '1', source: '/hr', type: 'hr.employee.joined' };

function binary(headers: Headers, body: string | Uint8Array = ''): CloudEvent {
  return decodeEvents({ ...ce, ...headers }, Buffer.from(body as string), now).events[0]!;
}

function structured(value: unknown): CloudEvent {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return decodeEvents({ 'content-type': 'application/cloudevents+json' }, Buffer.from(text), now).events[0]!;
}

function batch(value: unknown): readonly CloudEvent[] {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return decodeEvents({ 'content-type': 'application/cloudevents-batch+json' }, Buffer.from(text), now).events;
}

function refusalOf(work: () => unknown): Refusal {
  try {
    work();
  } catch (error) {
    if (error instanceof Refusal) return error;
    throw error;
  }
  throw new Error('nothing was refused');
}

const fieldsOf = (refusal: Refusal) => (refusal.details.errors as { field: string }[]).map(({ field }) => field);

describe('binary mode', () => {
  it('takes attributes from headers and parses JSON data', () => {
    const event = binary({ 'content-type': 'application/json', 'ce-subject': 'ada', 'ce-team': 'red' }, '{"a":1}');
    expect(event).toMatchObject({ id: '1', source: '/hr', type: 'hr.employee.joined', subject: 'ada', data: { a: 1 } });
    expect(event.extensions).toEqual({ team: 'red' });
    expect(event.time).toEqual(now);
  });

  it('decodes percent-encoding once, quotes, and bare UTF-8 in headers', () => {
    expect(binary({ 'ce-subject': 'Euro%20%E2%82%AC%20%F0%9F%98%80' }).subject).toBe('Euro € 😀');
    expect(binary({ 'ce-subject': '%2541' }).subject).toBe('%41');
    expect(binary({ 'ce-subject': '"a \\"b\\" c"' }).subject).toBe('a "b" c');
    expect(binary({ 'ce-subject': Buffer.from('Zoë').toString('latin1') }).subject).toBe('Zoë');
    expect(binary({ 'ce-subject': '100% sure' }).subject).toBe('100% sure');
  });

  it('refuses a header whose bytes are not UTF-8, by its name', () => {
    expect(fieldsOf(refusalOf(() => binary({ 'ce-subject': '%FF%FE' })))).toEqual(['ce-subject']);
  });

  it('keeps the bytes of the data as they came', () => {
    const text = '{"big": 12345678901234567890, "pi":3.140}';
    expect(Buffer.from(binary({ 'content-type': 'application/json' }, text).raw!).toString()).toBe(text);
  });

  it('keeps text as text and everything else as bytes', () => {
    expect(binary({ 'content-type': 'text/plain' }, 'hello').data).toBe('hello');
    expect(binary({ 'content-type': 'image/png' }, Uint8Array.of(1, 255)).data).toEqual(Buffer.from([1, 255]));
    expect(binary({}).data).toBeUndefined();
  });

  it('refuses data that is not what its content type says', () => {
    expect(refusalOf(() => binary({ 'content-type': 'application/json' }, '{"a":')).code).toBe('bad_request');
    expect(
      refusalOf(() => binary({ 'content-type': 'application/json' }, Uint8Array.of(0x22, 0xff, 0x22))).message,
    ).toMatch(/UTF-8/);
  });

  it('says how to send an event when there is none', () => {
    const refusal = refusalOf(() => decodeEvents({ 'content-type': 'application/json' }, Buffer.from('{}'), now));
    expect(refusal.code).toBe('event_invalid');
    expect(refusal.message).toMatch(/ce-specversion/);
  });
});

describe('structured mode', () => {
  it('takes attributes, extensions with their types, and data', () => {
    const event = structured({
      ...own,
      time: '2026-01-02T03:04:05.678+01:00',
      level: 3,
      urgent: true,
      data: { x: [1] },
    });
    expect(event.time).toEqual(new Date('2026-01-02T02:04:05.678Z'));
    expect(event.extensions).toEqual({ level: 3, urgent: true });
    expect(event.data).toEqual({ x: [1] });
    expect(event.datacontenttype).toBe('application/json');
  });

  it('keeps data byte for byte, wherever it stands', () => {
    const raw = '{ "n": 12345678901234567890, "s": "}\\"{" }';
    const event = structured(`{"data" : ${raw} , "specversion":"1.0","id":"1","source":"/s","type":"t"}`);
    expect(Buffer.from(event.raw!).toString()).toBe(raw);
  });

  it('decodes data_base64, and parses it where it is JSON', () => {
    expect(structured({ ...own, datacontenttype: 'image/png', data_base64: 'AQI=' }).data).toEqual(Buffer.from([1, 2]));
    expect(structured({ ...own, data_base64: Buffer.from('{"a":1}').toString('base64') }).data).toEqual({ a: 1 });
    expect(fieldsOf(refusalOf(() => structured({ ...own, data_base64: 'no base64!' })))).toEqual(['data_base64']);
    expect(fieldsOf(refusalOf(() => structured({ ...own, data: 1, data_base64: '' })))).toEqual(['data_base64']);
  });

  it('tells a JSON string from text by the content type', () => {
    expect(Buffer.from(structured({ ...own, datacontenttype: 'text/plain', data: 'a "b"' }).raw!).toString()).toBe(
      'a "b"',
    );
    expect(Buffer.from(structured({ ...own, data: 'a' }).raw!).toString()).toBe('"a"');
  });

  it('names every fault at once', () => {
    const bad = { specversion: '0.3', id: '', source: 'a b', time: 'yesterday', BadName: 'x', list: [1], half: 1.5 };
    const fields = fieldsOf(refusalOf(() => structured(bad)));
    expect(fields.sort()).toEqual(['BadName', 'half', 'id', 'list', 'source', 'specversion', 'time', 'type']);
  });

  it('refuses control characters, lone surrogates and lengths over the limit', () => {
    for (const id of ['a\u0000', 'a\u001b[2J', '\ud800', 'x'.repeat(257)])
      expect(fieldsOf(refusalOf(() => structured({ ...own, id })))).toEqual(['id']);
    expect(fieldsOf(refusalOf(() => structured({ ...own, ['n'.repeat(65)]: 1 })))).toHaveLength(1);
  });

  it('refuses JSON that nests too deep, without falling over', () => {
    expect(refusalOf(() => structured(`{"data":${'['.repeat(100_000)}`)).message).toMatch(/nests deeper/);
    expect(refusalOf(() => structured(`{"data":${'['.repeat(100_000)}${']'.repeat(100_000)}}`)).message).toMatch(
      /nests/,
    );
  });

  it('treats an attribute that is null as absent', () => {
    expect(structured({ ...own, subject: null, ext: null })).not.toHaveProperty('subject');
  });

  it('refuses other formats and charsets as media types', () => {
    for (const type of [
      'application/cloudevents+xml',
      'application/cloudevents',
      'application/cloudevents+json; charset=utf-16',
    ])
      expect(refusalOf(() => decodeEvents({ 'content-type': type }, Buffer.from('{}'), now)).code).toBe(
        'unsupported_media_type',
      );
  });
});

describe('batched mode', () => {
  it('takes an array of events, each with its own data', () => {
    const events = batch([
      { ...own, data: { n: 1 } },
      { ...own, id: '2', data: [2] },
      { ...own, id: '3' },
    ]);
    expect(events.map(({ id, data }) => [id, data])).toEqual([
      ['1', { n: 1 }],
      ['2', [2]],
      ['3', undefined],
    ]);
    expect(Buffer.from(events[1]!.raw!).toString()).toBe('[2]');
    expect(batch([])).toEqual([]);
  });

  it('names the event that is wrong', () => {
    const refusal = refusalOf(() => batch([own, { ...own, type: undefined }]));
    expect(refusal.details.index).toBe(1);
    expect(refusal.message).toMatch(/^Event 1 of the batch: .*type is missing/);
    expect(refusalOf(() => batch([own, 7])).details.index).toBe(1);
    expect(refusalOf(() => batch({ own })).code).toBe('event_invalid');
  });

  it('refuses more events than the limit', () => {
    expect(refusalOf(() => batch(Array(defaultLimits.maxBatchEvents + 1).fill(own))).code).toBe('too_large');
  });
});

describe('properties', () => {
  it('raw data of any JSON value, in any layout, parses to that value', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 5 }), fc.constantFrom(0, 1, '\t'), (data, space) => {
        const text = JSON.stringify([own, { ...own, data }, own], null, space);
        const [, event] = batch(text);
        expect(JSON.parse(Buffer.from(event!.raw!).toString())).toEqual(JSON.parse(JSON.stringify(data)));
      }),
    );
  });

  it('any bytes are an event or a refusal', () => {
    const types = [
      'application/cloudevents+json',
      'application/cloudevents-batch+json',
      'application/json',
      'text/plain',
    ];
    fc.assert(
      fc.property(fc.constantFrom(...types), fc.uint8Array(), fc.json(), fc.boolean(), (type, bytes, json, useJson) => {
        const body = useJson ? Buffer.from(json) : bytes;
        try {
          decodeEvents({ ...ce, 'content-type': type }, body, now);
        } catch (error) {
          expect(error).toBeInstanceOf(Refusal);
        }
      }),
    );
  });
});
