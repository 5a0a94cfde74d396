import { describe, expect, it } from 'vitest';
import { Refusal } from '../kit/refusal.ts';
import { applyMapping, enterpriseNotification, type IngestMapping } from './ingest.ts';
import { relaxedToJson } from './relaxed.ts';

const now = new Date('2026-11-22T08:00:00Z');
const request = (text: string, idempotencyKey?: string) => ({ body: Buffer.from(text), idempotencyKey });

describe('the original canonical event', () => {
  const mapping = enterpriseNotification('enterprise');

  it.each([
    `{"userid":"u1","message":"Hi"}`,
    `{"UserId":"u1","Message":"Hi"}`,
    `{'userid':'u1','message':'Hi'}`,
    `{ 'USERID' : "u1", "message" : 'Hi' }`,
  ])('is taken as %s', (text) => {
    const [event] = applyMapping(mapping, request(text), now);
    expect(event).toMatchObject({ type: 'legacy.broadcast', subject: 'u1', data: { userid: 'u1', message: 'Hi' } });
    expect(event!.source).toBe('/ingest/enterprise-notification');
  });

  it.each(['{}', '[]', 'null', `{'userid':'u1'}`, `{"userid":1,"message":"x"}`])('refuses %s', (text) => {
    expect(() => applyMapping(mapping, request(text), now)).toThrow(Refusal);
  });

  it('refuses what is no JSON even then', () => {
    for (const text of [`{'userid':'it's','message':'x'}`, `{'userid':'a`, '', `{userid:'a',message:'b'}`])
      expect(() => applyMapping(mapping, request(text), now)).toThrow(/not valid JSON/);
  });
});

describe('single quotes', () => {
  it('become JSON strings, with what must be escaped escaped', () => {
    expect(JSON.parse(relaxedToJson(`{'a':'say "x"','b':'it\\'s','c':'l\\n','d':'two\nlines'}`))).toEqual({
      a: 'say "x"',
      b: "it's",
      c: 'l\n',
      d: 'two\nlines',
    });
  });

  it('leave valid JSON alone', () => {
    const text = `{"a":"it's","b":["\\"'"],"c":1}`;
    expect(relaxedToJson(text)).toBe(text);
  });
});

describe('a mapping of the config', () => {
  const mapping: IngestMapping = {
    name: 'jira',
    topic: 'it',
    map: (body) => (body as { issues: string[] }).issues.map((issue) => ({ type: 'it.issue', data: { issue } })),
  };

  it('may make several events of one body; a repeated request makes the same ids', () => {
    const once = applyMapping(mapping, request('{"issues":["a","b"]}', 'req-7'), now);
    expect(once.map(({ id, data }) => [id, data])).toEqual([
      ['req-7', { issue: 'a' }],
      ['req-7/1', { issue: 'b' }],
    ]);
  });

  it('that throws refuses the body and says why', () => {
    expect(() => applyMapping(mapping, request('{}'), now)).toThrow(/mapping jira does not take this body/);
  });

  it('that makes an invalid event is refused by the attribute', () => {
    const bad = { ...mapping, map: () => ({ type: '' }) };
    expect(() => applyMapping(bad, request('{}'), now)).toThrow(/type must not be empty/);
  });
});
