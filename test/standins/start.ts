// All four push services at once, for `carillon standins` and for tests that need more than one.

import { type LocalCertificate, makeCertificate } from '../../src/kit/certificate.ts';
import { ApnsStandin } from './apns.ts';
import { FcmStandin } from './fcm.ts';
import { WebPushStandin } from './webpush.ts';
import { WnsStandin } from './wns.ts';

export type Standins = {
  readonly certificate: LocalCertificate;
  readonly apns: ApnsStandin;
  readonly fcm: FcmStandin;
  readonly wns: WnsStandin;
  readonly webpush: WebPushStandin;
  /** One line per service: its address and what a hub needs to use it. No secret that is worth anything. */
  describe(): readonly string[];
  /** What a hub is configured with, by platform. Good for these stand-ins only. */
  hubCredentials(): Readonly<Record<'apns' | 'fcmv1' | 'wns' | 'browser', object>>;
  stop(): Promise<void>;
};

export type StandinPorts = {
  readonly apns?: number;
  readonly fcm?: number;
  readonly wns?: number;
  readonly webpush?: number;
};

/** `ports`: absent ones are free ports. */
export async function startStandins(ports: StandinPorts = {}, certificate = makeCertificate()): Promise<Standins> {
  const [apns, fcm, wns, webpush] = await Promise.all([
    ApnsStandin.start({ certificate, port: ports.apns ?? 0 }),
    FcmStandin.start({ certificate, port: ports.fcm ?? 0 }),
    WnsStandin.start({ certificate, port: ports.wns ?? 0 }),
    WebPushStandin.start({ certificate, port: ports.webpush ?? 0 }),
  ]);
  return {
    certificate,
    apns,
    fcm,
    wns,
    webpush,
    describe: () => [
      `APNs      ${apns.service.url}  team ${apns.credentials.teamId}, key ${apns.credentials.keyId}, app ${apns.credentials.bundleId}`,
      `FCM       ${fcm.service.url}  project ${fcm.account.project_id}, token service ${fcm.account.token_uri}`,
      `WNS       ${wns.service.url}  package ${wns.credentials.packageSid}, token service ${wns.tokenUrl}`,
      `Web Push  ${webpush.service.url}  subscriptions at /push/{name}`,
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
    stop: async () => {
      await Promise.all([apns.stop(), fcm.stop(), wns.stop(), webpush.stop()]);
    },
  };
}
