// A whole server whose assistant speaks through stand-ins of Teams and Slack, for tests that cross rooms.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { SlackStandin } from '../standins/slack.ts';
import type { TeamsStandin } from '../standins/teams.ts';
import { ServerProcess } from './server-process.ts';

export type Surfaces = {
  readonly teams?: TeamsStandin;
  readonly slack?: SlackStandin;
  readonly env?: Readonly<Record<string, string>>;
};

/** With the config that is shipped, and these connections named `main`; their secrets come from the environment. */
export async function startWithSurfaces({ teams, slack, env }: Surfaces): Promise<ServerProcess> {
  // Beside the shipped one, whose imports are relative.
  const folder = await mkdtemp(resolve('test-config-'));
  const file = join(folder, 'carillon.config.ts');
  const assistant = {
    ...(teams && { teams: { main: { ...teams.connection, secret: undefined, installApp: teams.manifestId } } }),
    ...(slack && { slack: { main: { teamId: slack.teamId, apiUrl: slack.apiUrl } } }),
  };
  const text = `import shipped from '../carillon.config.ts';\nexport default { ...shipped, assistant: ${JSON.stringify(assistant)} };\n`;
  await writeFile(file, text);
  try {
    const server = await ServerProcess.start({
      config: file,
      env: {
        ...env,
        ...(teams && { CARILLON_TEAMS_SECRET: teams.secret }),
        ...(slack && { CARILLON_SLACK_TOKEN: slack.token, CARILLON_SLACK_SIGNING_SECRET: slack.signingSecret }),
      },
    });
    if (teams) teams.botUrl = `${server.url}/v1/assistant/teams/main/messages`;
    if (slack) slack.baseUrl = `${server.url}/v1/assistant/slack/main`;
    return server;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
