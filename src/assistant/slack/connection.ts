// A Slack connection: one app in one workspace. Scopes: chat:write, im:history, users:read, users:read.email.

export type SlackConnection = {
  /** `xoxb-...`; from CARILLON_SLACK_TOKEN or its file where it is left out. */
  readonly botToken?: string;
  /** Checks what Slack posts to us; from CARILLON_SLACK_SIGNING_SECRET or its file where it is left out. */
  readonly signingSecret?: string;
  /** `T...`: people of other workspaces (shared channels) are not listened to. */
  readonly teamId?: string;
  /** Where the API really is, for stand-ins; with a slash at the end. */
  readonly apiUrl?: string;
};
