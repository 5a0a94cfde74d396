// What programs put into their configuration to reach this door.
import { ROOT_RULE } from './authority.ts';

export function connectionString(host: string, port: number, key: string): string {
  const endpoint = `Endpoint=sb://${publicHost(host) ?? 'localhost'}:${port}`;
  return `${endpoint};SharedAccessKeyName=${ROOT_RULE};SharedAccessKey=${key};UseDevelopmentEmulator=true`;
}

/** The host that clients can use; undefined for addresses that mean all of this machine's, or this machine itself. */
export function publicHost(host: string): string | undefined {
  return ['0.0.0.0', '::', '127.0.0.1', '::1', 'localhost'].includes(host) ? undefined : host;
}
