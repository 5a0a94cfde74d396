// The same commands against a Service Bus namespace: Azure's, or any that its clients reach, such as this door's. The
// official client is loaded only here, and only then: nothing else of Carillon needs it.
import type { ServiceBusAdministrationClient, ServiceBusClient } from '@azure/service-bus';
import type Long from 'long';
import { Refused, Unreachable } from './client.ts';
import { type Call, type Command, type Option, stringOption, UsageError } from './command.ts';
import { entityRuns } from './namespace-entities.ts';
import { messageRuns } from './namespace-messages.ts';

export type Namespace = {
  readonly client: ServiceBusClient;
  readonly admin: ServiceBusAdministrationClient;
  /** A sequence number as the client library takes it. */
  readonly long: (sequence: number) => Long;
};
export type Run = (call: Call, namespace: Namespace) => Promise<void>;

const FLAG = 'connection-string';
const connectionOption: Readonly<Record<string, Option>> = {
  [FLAG]: {
    type: 'string',
    shows: 'string',
    sentence: 'Talk to the Service Bus namespace of this connection string instead, such as one of Azure.',
  },
};
const runs: Readonly<Record<string, Run>> = { ...entityRuns, ...messageRuns };

/** The command with `--connection-string`, if a namespace has what it does. */
export function withNamespace(command: Command): Command {
  const found = Object.hasOwn(runs, command.words) ? runs[command.words] : undefined;
  const own = command.run;
  if (!found || !own) return command;
  const run = async (call: Call) => {
    const connectionString = stringOption(call, FLAG);
    if (connectionString === undefined) return own(call);
    if (stringOption(call, 'cursor') !== undefined)
      throw new UsageError(`--cursor does not go with --${FLAG}: a namespace is listed from its beginning.`);
    const namespace = await connect(connectionString);
    try {
      await found(call, namespace);
    } catch (error) {
      throw inWords(error);
    } finally {
      await namespace.client.close();
    }
  };
  return { ...command, options: { ...connectionOption, ...command.options }, run };
}

async function connect(connectionString: string): Promise<Namespace> {
  // The client library brings the package of its 64-bit numbers along.
  const both = Promise.all([import('@azure/service-bus'), import('long')]);
  const [sdk, { default: numbers }] = await both.catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ERR_MODULE_NOT_FOUND') throw error;
    throw new UsageError(`--${FLAG} needs the client library of Azure: npm install @azure/service-bus`);
  });
  try {
    const client = new sdk.ServiceBusClient(connectionString, { retryOptions: { maxRetries: 1, timeoutInMs: 20_000 } });
    return { client, admin: new sdk.ServiceBusAdministrationClient(connectionString), long: numbers.fromNumber };
  } catch (error) {
    throw new UsageError(`--${FLAG}: ${(error as Error).message}`);
  }
}

type ClientError = Error & { readonly code?: unknown; readonly statusCode?: unknown };

const AWAY = /^(ECONN|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|EHOST|ENET|REQUEST_SEND_ERROR)/;
const UNTRUSTED = /CERT|SELF_SIGNED|UNABLE_TO_|ALTNAME/;

/** What the client library throws, as the command line tells it. */
function inWords(error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof UsageError) return error;
  const { message, code, statusCode } = error as ClientError;
  const signs = `${String(code)} ${message}`;
  if (UNTRUSTED.test(signs))
    return new Unreachable(`${message}. For a Carillon set NODE_EXTRA_CA_CERTS to the ca.pem that its start prints.`);
  if (signs.split(/[\s:]+/).some((word) => AWAY.test(word))) return new Unreachable(`The namespace: ${message}`);
  if (typeof code !== 'string' && typeof statusCode !== 'number') return error; // A fault of ours.
  return new Refused(Number(statusCode ?? 0), { code, detail: message, ...(statusCode ? { status: statusCode } : {}) });
}
