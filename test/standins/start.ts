// All services at once, those that push and those that people chat in, for `carillon standins` and for tests that need more than one.

import { type LocalCertificate, makeCertificate } from '../../src/kit/certificate.ts';
import { ApnsStandin } from './apns.ts';
import { ChatPeople } from './chat-people.ts';
import { FcmStandin } from './fcm.ts';
import { SlackStandin } from './slack.ts';
import { TeamsStandin } from './teams.ts';
import { WebPushStandin } from './webpush.ts';
import { WnsStandin } from './wns.ts';

export type Standins = {
  readonly certificate: LocalCertificate;
  readonly apns: ApnsStandin;
  readonly fcm: FcmStandin;
  readonly wns: WnsStandin;
  readonly webpush: WebPushStandin;
  readonly teams: TeamsStandin;
  readonly slack: SlackStandin;
  /** The page on which one is the people of Teams and Slack. */
  readonly people: ChatPeople;
  /** One line per service: its address and what a hub needs to use it. No secret that is worth anything. */
  describe(): readonly string[];
  /** What a hub is configured with, by platform. Good for these stand-ins only. */
  hubCredentials(): Readonly<Record<'apns' | 'fcmv1' | 'wns' | 'browser', object>>;
  /** The section `assistant` of a config file that uses them, and the secrets for the environment. */
  assistant(): { readonly config: object; readonly env: Readonly<Record<string, string>> };
  stop(): Promise<void>;
};

export type StandinPorts = {
  readonly apns?: number;
  readonly fcm?: number;
  readonly wns?: number;
  readonly webpush?: number;
  readonly teams?: number;
  readonly slack?: number;
  readonly people?: number;
};

/** `ports`: absent ones are free ports. */
export async function startStandins(ports: StandinPorts = {}, certificate = makeCertificate()): Promise<Standins> {
  const [apns, fcm, wns, webpush, teams, slack] = await Promise.all([
    ApnsStandin.start({ certificate, port: ports.apns ?? 0 }),
    FcmStandin.start({ certificate, port: ports.fcm ?? 0 }),
    WnsStandin.start({ certificate, port: ports.wns ?? 0 }),
    WebPushStandin.start({ certificate, port: ports.webpush ?? 0 }),
    TeamsStandin.start({ port: ports.teams ?? 0 }),
    SlackStandin.start(ports.slack ?? 0),
  ]);
  const people = await ChatPeople.start({ teams, slack, port: ports.people ?? 0 });
  return {
    certificate,
    apns,
    fcm,
    wns,
    webpush,
    teams,
    slack,
    people,
    describe: () => [
      `APNs      ${apns.service.url}  team ${apns.credentials.teamId}, key ${apns.credentials.keyId}, app ${apns.credentials.bundleId}`,
      `FCM       ${fcm.service.url}  project ${fcm.account.project_id}, token service ${fcm.account.token_uri}`,
      `WNS       ${wns.service.url}  package ${wns.credentials.packageSid}, token service ${wns.tokenUrl}, channels at /w/?token={name}`,
      `Web Push  ${webpush.service.url}  subscriptions at /push/{name}`,
      `Teams     ${teams.service.url}  tenant ${teams.tenantId}, app ${teams.appId}`,
      `Slack     ${slack.service.url}  workspace ${slack.teamId}`,
      `People    ${people.service.url}  what people see in Teams and Slack, and what they press and say`,
    ],
    hubCredentials: () => {
      const { ca } = certificate;
      const at = ({ port }: { readonly port: number }) => ({ host: '127.0.0.1', port, ca });
      return {
        apns: { ...apns.credentials, environment: 'sandbox', endpoint: at(apns.service) },
        fcmv1: { ...fcm.account, endpoint: at(fcm.service) },
        wns: { ...wns.credentials, tokenUrl: wns.tokenUrl, allowedHosts: [`127.0.0.1:${wns.service.port}`], ca },
        browser: { allowPrivate: true, ca },
      };
    },
    assistant: () => ({
      config: {
        teams: { main: { ...teams.connection, secret: undefined, installApp: teams.manifestId } },
        slack: { main: { teamId: slack.teamId, apiUrl: slack.apiUrl } },
      },
      env: {
        CARILLON_TEAMS_SECRET: teams.secret,
        CARILLON_SLACK_TOKEN: slack.token,
        CARILLON_SLACK_SIGNING_SECRET: slack.signingSecret,
      },
    }),
    stop: async () => {
      await Promise.all([apns, fcm, wns, webpush, teams, slack, people].map((each) => each.stop()));
    },
  };
}
