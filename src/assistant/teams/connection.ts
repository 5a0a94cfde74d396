// A Teams connection: one bot registration (Azure Bot, single tenant) with its app in Teams, for one Microsoft 365 tenant.

export type TeamsConnection = {
  /** The application (client) id of the bot. */
  readonly appId: string;
  readonly tenantId: string;
  /** The client secret; from CARILLON_TEAMS_SECRET or its file where it is left out. */
  readonly secret?: string;
  /** The id in the app's manifest: lets Carillon install the app for people, by Graph, when it first has to reach them. */
  readonly installApp?: string;
  /** Which cloud; `public` if left out. */
  readonly cloud?: keyof typeof clouds;
  /** Where the services really are, for stand-ins and clouds of their own; no slash at the end. */
  readonly endpoints?: Partial<TeamsEndpoints>;
};

export type TeamsEndpoints = {
  /** The Bot Connector, for conversations that we open; others keep the one that they came with. */
  readonly service: string;
  /** The token service. */
  readonly login: string;
  readonly graph: string;
  /** The OpenID metadata of whoever signs what comes in, and the issuer that it must name. */
  readonly metadata: string;
  readonly issuer: string;
  /** What tokens for the connector are for. */
  readonly scope: string;
};

const base = {
  login: 'https://login.microsoftonline.com',
  graph: 'https://graph.microsoft.com/v1.0',
  metadata: 'https://login.botframework.com/v1/.well-known/openidconfiguration',
  issuer: 'https://api.botframework.com',
  scope: 'https://api.botframework.com/.default',
};
const government = {
  login: 'https://login.microsoftonline.us',
  metadata: 'https://login.botframework.azure.us/v1/.well-known/openidconfiguration',
  issuer: 'https://api.botframework.us',
  scope: 'https://api.botframework.us/.default',
};

/** Source: Microsoft "Send proactive messages", "Configure bots for government clouds". */
export const clouds = {
  public: { ...base, service: 'https://smba.trafficmanager.net/teams' },
  gcc: { ...base, service: 'https://smba.infra.gcc.teams.microsoft.com/teams' },
  gccHigh: {
    ...government,
    graph: 'https://graph.microsoft.us/v1.0',
    service: 'https://smba.infra.gov.teams.microsoft.us/teams',
  },
  dod: {
    ...government,
    graph: 'https://dod-graph.microsoft.us/v1.0',
    service: 'https://smba.infra.dod.teams.microsoft.us/teams',
  },
} as const satisfies Record<string, TeamsEndpoints>;

export function endpointsOf({ cloud = 'public', endpoints = {} }: TeamsConnection): TeamsEndpoints {
  return { ...clouds[cloud], ...endpoints };
}

/**
 * Whether a service address that an activity names may be posted to: tokens and content go there. Only the connector of
 * this cloud, whatever its region (`smba.trafficmanager.net/emea/...`), or the configured one.
 */
export function isTrustedService(connection: TeamsConnection, serviceUrl: string): boolean {
  const given = URL.parse(serviceUrl);
  const own = URL.parse(endpointsOf(connection).service);
  return (
    given !== null && own !== null && given.origin === own.origin && given.username === '' && given.password === ''
  );
}

/** The bot as Teams names it. */
export function botId({ appId }: TeamsConnection): string {
  return `28:${appId}`;
}
