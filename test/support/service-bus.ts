// A whole server, and the official Service Bus client against it. The client and our door share a package (rhea) that the
// door changes, so the server is always another process.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as current from '@azure/service-bus';
import * as beta from 'azure-service-bus-beta';
import { ServerProcess } from './server-process.ts';

export const SAS_KEY = 'c2VydmljZS1idXMtdGVzdC1rZXktMDEyMzQ1Njc4OQ==';

/** The releases that are tried; their types are close enough to be taken for one. */
export const releases = [
  ['7.9.5', current],
  ['7.10.0-beta.2', beta as unknown as typeof current],
] as const;

export class BusUnderTest implements AsyncDisposable {
  readonly server: ServerProcess;
  readonly sdk: typeof current;
  readonly client: current.ServiceBusClient;
  readonly admin: current.ServiceBusAdministrationClient;

  private constructor(server: ServerProcess, sdk: typeof current) {
    this.server = server;
    this.sdk = sdk;
    this.client = new sdk.ServiceBusClient(this.connectionString, { retryOptions: QUICK });
    this.admin = new sdk.ServiceBusAdministrationClient(this.connectionString, {
      tlsOptions: { ca: this.ca },
    } as object);
  }

  static async start(sdk: typeof current = current, env: Record<string, string> = {}): Promise<BusUnderTest> {
    const server = await ServerProcess.start({ env: { CARILLON_SAS_KEY: SAS_KEY, ...env } });
    return new BusUnderTest(server, sdk);
  }

  get connectionString(): string {
    return connectionString(this.server.amqpPort);
  }

  get ca(): string {
    return readFileSync(join(this.server.dataDir, 'servicebus/ca.pem'), 'utf8');
  }

  /** A topic with one subscription `s`, of a name that no other test has. */
  async subscription(
    settings: current.CreateSubscriptionOptions = {},
    topicSettings: current.CreateTopicOptions = {},
  ): Promise<{ topic: string; sender: current.ServiceBusSender; receiver: () => current.ServiceBusReceiver }> {
    const topic = name('topic');
    await this.admin.createTopic(topic, topicSettings);
    await this.admin.createSubscription(topic, 's', settings);
    return { topic, sender: this.client.createSender(topic), receiver: () => this.client.createReceiver(topic, 's') };
  }

  async queue(settings: current.CreateQueueOptions = {}) {
    const queue = name('queue');
    await this.admin.createQueue(queue, settings);
    return { queue, sender: this.client.createSender(queue), receiver: () => this.client.createReceiver(queue) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.client.close();
    await this.server[Symbol.asyncDispose]();
  }
}

/** Failing fast, so that an error under test shows at once. */
export const QUICK = { maxRetries: 0, timeoutInMs: 10_000, retryDelayInMs: 50 };

export function connectionString(port: number, key = SAS_KEY, keyName = 'RootManageSharedAccessKey'): string {
  const endpoint = `Endpoint=sb://localhost:${port};SharedAccessKeyName=${keyName};SharedAccessKey=${key}`;
  return `${endpoint};UseDevelopmentEmulator=true`;
}

let count = 0;

export function name(kind: string): string {
  return `${kind}-${++count}`;
}

/** Receives `wanted` messages, however many calls it takes. */
export async function receiveAll(
  receiver: current.ServiceBusReceiver,
  wanted: number,
): Promise<current.ServiceBusReceivedMessage[]> {
  const all: current.ServiceBusReceivedMessage[] = [];
  while (all.length < wanted) {
    const some = await receiver.receiveMessages(wanted - all.length, { maxWaitTimeInMs: 5000 });
    if (some.length === 0) throw new Error(`Only ${all.length} of ${wanted} messages came.`);
    all.push(...some);
  }
  return all;
}
