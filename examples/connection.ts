// What both programs share: where the bus is, and when to stop.
import { readFile } from 'node:fs/promises';
import { ServiceBusAdministrationClient } from '@azure/service-bus';

export const connectionString = process.env.SERVICEBUS_CONNECTION_STRING ?? '';
if (connectionString === '') throw new Error('Set SERVICEBUS_CONNECTION_STRING to what `carillon start` prints.');

/** Up to release 7.9.5 this client speaks HTTPS whatever the string says, so it has to trust our certificate. */
export async function administration(): Promise<ServiceBusAdministrationClient> {
  const file = process.env.SERVICEBUS_CA_FILE;
  const trust = file === undefined ? {} : { tlsOptions: { ca: await readFile(file, 'utf8') } };
  return new ServiceBusAdministrationClient(connectionString, trust as object);
}

/** Resolves at Ctrl-C. */
export function interrupted(): Promise<void> {
  return new Promise((resolve) => {
    process.once('SIGINT', () => resolve());
    process.once('SIGTERM', () => resolve());
  });
}

/** Does something now and every `ms`, until interrupted. */
export async function every(ms: number, work: () => Promise<void>): Promise<void> {
  let stopped = false;
  const stop = interrupted().then(() => {
    stopped = true;
  });
  while (!stopped) {
    await work();
    await Promise.race([stop, new Promise((resolve) => setTimeout(resolve, ms))]);
  }
}
