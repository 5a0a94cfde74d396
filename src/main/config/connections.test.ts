import { expect, test } from 'vitest';
import { readConnections } from './connections.ts';

const guid = '11111111-2222-3333-4444-555555555555';

test('right connections are read by name', () => {
  const problems: string[] = [];
  const { teams, slack, webhooks } = readConnections(
    {
      teams: { main: { appId: guid, tenantId: guid, cloud: 'gcc' } },
      slack: { main: { teamId: 'T1' } },
      webhooks: { room: { url: 'https://example.org/workflow' } },
    },
    problems,
  );
  expect(problems).toEqual([]);
  expect([...teams.keys(), ...slack.keys(), ...webhooks.keys()]).toEqual(['main', 'main', 'room']);
});

test.each([
  [{ teams: [] }, 'assistant.teams: '],
  [{ teams: { 'a b': { appId: guid, tenantId: guid } } }, 'assistant.teams.a b: '],
  [{ teams: { main: { appId: 'x', tenantId: guid } } }, 'assistant.teams.main.appId: must be a GUID'],
  [
    { teams: { main: { appId: guid, tenantId: guid, password: 'x' } } },
    'assistant.teams.main.password: there is no such',
  ],
  [{ teams: { main: { appId: guid, tenantId: guid, secret: '' } } }, 'assistant.teams.main.secret: '],
  [{ teams: { main: { appId: guid, tenantId: guid, cloud: 'moon' } } }, 'assistant.teams.main.cloud: '],
  [{ slack: { main: { apiUrl: 'ftp://x' } } }, 'assistant.slack.main.apiUrl: '],
  [{ slack: { main: 'xoxb' } }, 'assistant.slack.main: must be an object'],
  [{ webhooks: { room: {} } }, 'assistant.webhooks.room.url: '],
])('%j is told with its place', (section, start) => {
  const problems: string[] = [];
  readConnections(section, problems);
  expect(problems.join('\n')).toContain(start);
});
