// The same commands against a Service Bus namespace: Azure's, or any that its clients reach, such as this door's. The
// official client is loaded only here, and only then: nothing else of Carillon needs it.
import { once } from 'node:events';
import { connect as openSocket } from 'node:net';
import type { ServiceBusAdministrationClient, ServiceBusClient } from '@azure/service-bus';
import type Long from 'long';
import { Refused, Unreachable } from './client.ts';
import { type Call, type Command, type Option, stringOption, UsageError } from './command.ts';
import { entityRuns } from './namespace-entities.ts';
import { messageRuns } from './namespace-messages.ts';

export type Namespace = {
  /** As the connection string names it. */
  readonly endpoint: Endpoint;
  readonly client: ServiceBusClient;
  readonly admin: ServiceBusAdministrationClient;
  /** A sequence number as the client library takes it. */
  readonly long: (sequence: bigint) => Long;
};
type Endpoint = { readonly host: string; readonly port: number };
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
const ANSWER_MS = 20_000;

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
      if (Object.hasOwn(messageRuns, command.words)) await reach(namespace.endpoint);
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
  process.noDeprecation = true; // such as that of a TLS name that is an address: the user can do nothing about the library
  // The client library repeats also what a repetition cannot mend, such as a wrong key, and waits half a minute before.
  const retryOptions = { maxRetries: 1, retryDelayInMs: 500, timeoutInMs: ANSWER_MS };
  try {
    const client = new sdk.ServiceBusClient(connectionString, { retryOptions });
    const admin = new sdk.ServiceBusAdministrationClient(connectionString, { retryOptions });
    admin.pipeline.addPolicy(timeLimit);
    const { endpoint } = sdk.parseServiceBusConnectionString(connectionString);
    const long = (sequence: bigint) => numbers.fromString(String(sequence));
    return { client, admin, endpoint: endpointOf(endpoint, connectionString), long };
  } catch (error) {
    throw new UsageError(`--${FLAG}: ${(error as Error).message}`);
  }
}

/** Without a limit of its own a request to the administration waits for ever. */
const timeLimit: Parameters<ServiceBusAdministrationClient['pipeline']['addPolicy']>[0] = {
  name: 'timeLimit',
  sendRequest: (request, next) => {
    request.abortSignal = AbortSignal.timeout(ANSWER_MS); // its own `timeout` keeps the process alive after a failure
    return next(request);
  },
};

function endpointOf(endpoint: string, connectionString: string): Endpoint {
  const { hostname, port } = new URL(endpoint);
  const usual = /;\s*UseDevelopmentEmulator=true/i.test(connectionString) ? 5672 : 5671;
  return { host: hostname.replace(/^\[|\]$/g, ''), port: port === '' ? usual : Number(port) };
}

/** The client library waits for minutes where nothing answers, such as behind a firewall. */
async function reach({ host, port }: Endpoint): Promise<void> {
  const socket = openSocket({ host, port });
  try {
    await once(socket, 'connect', { signal: AbortSignal.timeout(ANSWER_MS / 2) });
  } catch (error) {
    const { code, name } = error as NodeJS.ErrnoException;
    const cause = name === 'AbortError' ? 'ETIMEDOUT' : code;
    throw new Unreachable(`No namespace answers at ${host}:${port} (${cause}).`);
  } finally {
    socket.destroy();
  }
}

type ClientError = Error & { readonly code?: unknown; readonly statusCode?: unknown };

const AWAY = /^(ECONN|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|EHOST|ENET|REQUEST_SEND_ERROR|REQUEST_ABORTED|OperationTimeout)/;
/** Of the client library itself: a namespace that has nothing for a while says so in other words. */
const SILENT = /management request timed out|due to operation timeout|operation was aborted/;
const UNTRUSTED = /CERT|SELF_SIGNED|UNABLE_TO_|ALTNAME/;

/** What the client library throws, as the command line tells it. */
function inWords(error: unknown): unknown {
  if (error instanceof AggregateError && error.errors.length > 0) return inWords(error.errors.at(-1)); // one per attempt
  if (!(error instanceof Error) || error instanceof UsageError) return error;
  const { message, code, statusCode } = error as ClientError;
  const signs = `${String(code)} ${message}`;
  if (UNTRUSTED.test(signs))
    return new Unreachable(`${message}. For a Carillon set NODE_EXTRA_CA_CERTS to the ca.pem that its start prints.`);
  if (SILENT.test(message)) return new Unreachable(`The namespace does not answer: ${message}`);
  if (signs.split(/[\s:]+/).some((word) => AWAY.test(word))) return new Unreachable(`The namespace: ${message}`);
  if (typeof code !== 'string' && typeof statusCode !== 'number') return error; // A fault of ours.
  return new Refused(Number(statusCode ?? 0), { code, detail: message, ...(statusCode ? { status: statusCode } : {}) });
}
