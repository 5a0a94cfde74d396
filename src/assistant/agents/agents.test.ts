import { describe, expect, test } from 'vitest';
import { readAgents } from './definition.ts';
import { polish } from './polish.ts';
import { withoutBlanks } from './remote.ts';

describe('agents of the config', () => {
  const read = (given: unknown) => {
    const problems: string[] = [];
    return { agents: readAgents(given, problems), problems };
  };
  const clientId = '1f9c2f0a-6c1e-4a55-9d0e-0a1b2c3d4e5f';

  test('anonymous on this machine, signed anywhere', () => {
    const given = {
      near: { url: 'http://localhost:3978/api/messages', auth: 'anonymous' },
      far: { url: 'https://agents.example.org/api/messages', auth: { clientId }, displayName: 'Help desk' },
    };
    const { agents, problems } = read(given);
    expect(problems).toEqual([]);
    expect(agents).toEqual([
      { ...given.near, name: 'near' },
      { ...given.far, name: 'far' },
    ]);
  });

  test('every problem is told with its path', () => {
    const { agents, problems } = read({
      'no good': { url: 'http://localhost/x', auth: 'anonymous' },
      far: { url: 'http://10.1.2.3/x', auth: 'anonymous' },
      fake: { url: 'http://localhost.evil.example/x', auth: 'anonymous' },
      bare: {},
      odd: { url: 'ftp://x', auth: { clientId: 'me' }, colour: 'red' },
      none: 7,
    });
    expect(agents).toEqual([]);
    expect(problems.map((problem) => problem.split(':')[0])).toEqual([
      'assistant.agents.no good',
      'assistant.agents.far.auth',
      'assistant.agents.fake.auth',
      'assistant.agents.bare.url',
      'assistant.agents.bare.auth',
      'assistant.agents.odd.colour',
      'assistant.agents.odd.url',
      'assistant.agents.odd.auth',
      'assistant.agents.none',
    ]);
  });
});

describe('what an agent is told', () => {
  test('null and empty strings are stripped, but not from what was filled in', () => {
    const value = { comment: '', amount: null };
    const given = { type: 'message', text: null, locale: '', from: { id: 'ada', name: '' }, attachments: [], value };
    expect(withoutBlanks(given)).toEqual({ type: 'message', from: { id: 'ada' }, attachments: [], value });
  });
});

describe('what an agent says', () => {
  const card = (content: object) => polish({ type: 'message', attachments: [{ contentType: 'x', content }] });
  const contentOf = (content: object) => card(content).attachments![0]!.content;

  test('HTML, images and scripts are taken out of texts', () => {
    const { text } = polish({
      type: 'message',
      text: 'a **b** <img src=x> ![p](https://evil/?q) [l](javascript:x) [k](https://a.example)',
    });
    expect(text).toContain('**b**');
    expect(text).toContain('[k](https://a.example)');
    expect(text).not.toMatch(/<img|!\[|\]\(javascript/);
    expect(contentOf({ body: [{ type: 'TextBlock', text: '<img src=x>' }] })).not.toMatchObject({
      body: [{ text: '<img src=x>' }],
    });
  });

  test('javascript: addresses are refused, whatever holds them', () => {
    const bad = 'javascript:alert(1)';
    expect(
      contentOf({
        body: [
          { type: 'Image', url: bad },
          { type: 'Container', selectAction: { type: 'Action.OpenUrl', url: bad } },
        ],
        actions: [
          { type: 'Action.OpenUrl', url: bad },
          { type: 'Action.OpenUrl', url: 'https://a.example/' },
        ],
        buttons: [{ type: 'openUrl', value: bad }],
      }),
    ).toEqual({
      body: [{ type: 'Image' }, { type: 'Container' }],
      actions: [{ type: 'Action.OpenUrl', url: 'https://a.example/' }],
      buttons: [],
    });
  });

  test('Execute is rewritten for Direct Line, with its verb; data stays as it is', () => {
    const execute = {
      type: 'Action.Execute',
      title: 'Yes',
      verb: 'approve',
      data: { id: 1, text: '<b>' },
      fallback: 'drop',
    };
    expect(contentOf({ actions: [execute] })).toEqual({
      actions: [{ type: 'Action.Submit', title: 'Yes', data: { verb: 'approve', id: 1, text: '<b>' } }],
    });
  });

  test('numbers become strings in facts', () => {
    expect(contentOf({ body: [{ type: 'FactSet', facts: [{ title: 'Amount', value: 12.5 }] }] })).toEqual({
      body: [{ type: 'FactSet', facts: [{ title: 'Amount', value: '12.5' }] }],
    });
  });
});
