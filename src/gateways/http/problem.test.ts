import { expect, it } from 'vitest';
import { Refusal, refusals } from '../../kit/refusal.ts';
import { bugRefusal, rawProblem, toProblem, toRefusal } from './problem.ts';

it('a refusal says what its catalogue entry says, and its own details', () => {
  const problem = toProblem(new Refusal('topic_not_found', 'There is no topic x.', { topic: 'x' }), 'r1');
  expect(problem).toEqual({
    type: '/docs#error-topic_not_found',
    title: refusals.topic_not_found.title,
    status: 404,
    detail: 'There is no topic x.',
    code: 'topic_not_found',
    retryable: false,
    requestId: 'r1',
    topic: 'x',
  });
});

it('a database that is away is busy, whichever way it says so', () => {
  for (const error of [
    Object.assign(new Error('terminating connection'), { code: '57P01' }),
    Object.assign(new Error('connect'), { code: 'ECONNREFUSED' }),
    new Error('Connection terminated unexpectedly'),
  ])
    expect(toRefusal(error)?.code).toBe('busy');
});

it('anything else is a bug of ours, of which callers hear nothing', () => {
  for (const error of [
    new Error('secret'),
    Object.assign(new Error('secret'), { code: '42P01' }),
    { statusCode: 413 },
    'text',
  ])
    expect(toRefusal(error)).toBeUndefined();
  expect(JSON.stringify(toProblem(bugRefusal()))).not.toContain('secret');
});

it('bytes that are no request get a whole answer', () => {
  const [head, body] = rawProblem(Object.assign(new Error(), { code: 'HPE_HEADER_OVERFLOW' })).split('\r\n\r\n');
  expect(head).toMatch(/^HTTP\/1.1 431 .*\r\n/);
  expect(head).toContain(`content-length: ${body!.length}`);
  expect(JSON.parse(body!).code).toBe('headers_too_large');
});
