// What a person can do about a lane through which nothing goes. The same words on the page, in the API and on the command line.

import type { Platform } from './drivers/driver.ts';
import type { ShownState } from './hub-status.ts';

const services: Readonly<Record<Platform, string>> = {
  apns: 'Apple',
  fcmv1: 'Google',
  wns: 'Microsoft',
  browser: 'The push service',
};
const pages: Readonly<Record<Platform, string>> = {
  apns: 'docs/push-apns.md',
  fcmv1: 'docs/push-fcm.md',
  wns: 'docs/push-wns.md',
  browser: 'docs/push-web.md',
};
const refused: Readonly<Record<Platform, { readonly check: string; readonly options: string }>> = {
  apns: {
    check: 'Check the key id, the team id and the environment, and that the key was not revoked',
    options: '--private-key AuthKey_KEYID.p8 --set keyId=... --set teamId=... --set bundleId=... --set environment=...',
  },
  fcmv1: {
    check: 'Check that the service account and its key exist, and that the Firebase Cloud Messaging API is on',
    options: '--file service-account.json',
  },
  wns: {
    check: 'Check that the secret has not expired',
    options: '--set packageSid=... --secret wns-secret.txt',
  },
  browser: {
    check: 'Check the address in `subject` and the clock of this machine',
    options: '--set subject=mailto:...',
  },
};

/** Undefined when there is nothing to do. */
export function laneAdvice(hub: string, platform: Platform, state: ShownState): string | undefined {
  const who = 'service' in state && state.service ? state.service : services[platform];
  switch (state.kind) {
    case 'stopped':
      if (state.cause === 'ExpiredProviderToken:clock')
        return `${who} finds a token too old that is new: set the clock of this machine.`;
      return `${who} refuses the credentials${inBrackets(state.cause)}. ${refused[platform].check}; then ${setCommand(hub, platform)} Pushes go on at once, without a restart; until then one is tried each minute.`;
    case 'paused':
      return `${who} has had too much from this hub (${state.cause}) and asks for a pause. Nothing is lost, and nothing is to be done.`;
    case 'failing':
      return failingAdvice(who, state.cause);
    case 'no_credentials':
      return `Nothing is pushed to these devices. ${pages[platform]} says how to get credentials; then ${setCommand(hub, platform)}`;
    default:
      return undefined;
  }
}

function setCommand(hub: string, platform: Platform): string {
  return `\`carillon hub credentials set ${hub} ${platform} ${refused[platform].options}\`.`;
}

function inBrackets(cause: string): string {
  return cause === 'credentials' ? '' : ` (${cause})`;
}

function failingAdvice(who: string, cause: string): string {
  const again = 'Pushes are tried again by themselves.';
  if (cause === 'no_token')
    return `${who} gives no access token, so nothing is pushed. Can this machine reach its token service? ${again}`;
  if (!/^(lost|unprocessed):/.test(cause)) return `${who} answers with errors (${cause}). ${again}`;
  return `${who} cannot be reached (${cause.replace(/^\w+:/, '')}). Check the network of this machine: its names, its firewall. ${again}`;
}
