import { describe, expect, it } from 'vitest';
import { parseDecision, storyOf, type TraceStep, verdictOf } from './story.ts';

const at = '2026-01-02T03:04:05.000Z';
const decide = (recipient: string, outcome: string, detail: string, notice?: string): TraceStep => ({
  at,
  step: 'decide',
  outcome,
  notification: 'note',
  recipient,
  detail,
  ...(notice !== undefined && { notice }),
});
const attempt = (recipient: string, notice: string, outcome: string): TraceStep => ({
  at,
  step: 'attempt',
  outcome,
  recipient,
  notice,
  channel: 'email',
});

describe('the story of an event', () => {
  const story = storyOf([
    { at, step: 'match', outcome: 'matched', notification: 'note', detail: 'note' },
    decide('ada', 'notice', 'inbox on (default), mobile no endpoint, email on (chosen for this category)', 'ntc_1'),
    { at, step: 'plan', outcome: 'planned', recipient: 'ada', notice: 'ntc_1', channel: 'email' },
    attempt('ada', 'ntc_1', 'retry'),
    decide('alan', 'notice', 'inbox off (chosen for this category), email on (default)', 'ntc_2'),
    attempt('alan', 'ntc_2', 'dead'),
    decide('grace', 'silent', "inbox off (the person's condition does not match)"),
  ]);

  it('reads reasons with commas, and what waits until the person comes', () => {
    const detail =
      'inbox off (default), email no endpoint: the mail address is dead, 5.1.1, conversation waits: never opened';
    expect(parseDecision(detail)).toEqual([
      { channel: 'inbox', state: 'off', why: 'default' },
      { channel: 'email', state: 'no endpoint', why: 'the mail address is dead, 5.1.1' },
      { channel: 'conversation', state: 'waits', why: 'never opened' },
    ]);
    expect(parseDecision('inbox on (default), email not set up: SMTP_URL, or its file, names the server')).toEqual([
      { channel: 'inbox', state: 'on', why: 'default' },
      { channel: 'email', state: 'not set up', why: 'SMTP_URL, or its file, names the server' },
    ]);
  });

  it('tells what is about the event apart from what is about people', () => {
    expect(story.about.map(({ step }) => step)).toEqual(['match']);
    expect(story.people.map(({ recipient }) => recipient)).toEqual(['ada', 'alan', 'grace']);
  });

  it('tells each channel with its reason and its end', () => {
    expect(story.people[0]?.channels.map(({ channel, end, why }) => [channel, end, why])).toEqual([
      ['inbox', 'kept', 'default'],
      ['mobile', 'no endpoint', undefined],
      ['email', 'retry', 'chosen for this category'],
    ]);
  });

  it('comes to one word per person', () => {
    expect(story.people.map(verdictOf)).toEqual(['told', 'not reached', 'not told']);
  });

  it('says who took it back', () => {
    const recall = {
      at,
      step: 'recall',
      outcome: 'recalled',
      recipient: 'ada',
      notice: 'n1',
      detail: 'key hr: Wrong team.',
    };
    const { people } = storyOf([decide('ada', 'notice', 'inbox on (default)', 'n1'), recall]);
    expect(people[0]?.words).toBe('Taken back by key hr: Wrong team.');
  });

  it('shows words as they are that are not about channels', () => {
    expect(parseDecision('everybody, by broadcast')).toBeUndefined();
    expect(storyOf([decide('ada', 'notice', 'inbox on (a (nested) reason)')]).people[0]).toMatchObject({
      channels: [],
      words: 'inbox on (a (nested) reason)',
    });
  });
});
