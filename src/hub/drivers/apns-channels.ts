// Broadcast channels of an app (iOS 18, Live Activities): made, looked up and removed on a host of their own. A handful of calls a day.
// Source: Apple "Sending channel management requests to APNs". At most 10,000 channels per app and environment.

import { PushClient } from '../http2/client.ts';
import { type Answer, ask, field, type RequestHead, type Transport } from '../http2/port.ts';
import { type ApnsCredentials, ProviderToken } from './apns-token.ts';

export type ChannelOptions = {
  readonly credentials: ApnsCredentials;
  readonly environment: 'production' | 'sandbox';
  readonly endpoint?: { readonly host: string; readonly port: number; readonly ca?: string } | undefined;
  readonly now?: () => number;
};

/** Apple said no; `reason` is its word, e.g. `CannotCreateChannelConfig` when the limit is reached. */
export class ChannelError extends Error {
  override readonly name = 'ChannelError';
  readonly status: number | undefined;
  readonly reason: string;
  constructor(status: number | undefined, reason: string) {
    super(`APNs channels: ${reason}`);
    this.status = status;
    this.reason = reason;
  }
}

const endpoints = {
  production: { host: 'api-manage-broadcast.push.apple.com', port: 2196 },
  sandbox: { host: 'api-manage-broadcast.sandbox.push.apple.com', port: 2195 },
} as const;

export class ApnsChannels {
  readonly #client: Transport;
  readonly #token: ProviderToken;
  readonly #options: ChannelOptions;

  constructor(options: ChannelOptions) {
    this.#options = options;
    this.#token = new ProviderToken(options.credentials, options.now);
    this.#client = new PushClient({ ...(options.endpoint ?? endpoints[options.environment]) });
  }

  /** `storesNewest`: devices that come online later get the newest push. Returns the channel id (base64). */
  async create(storesNewest: boolean): Promise<string> {
    const body = { 'message-storage-policy': storesNewest ? 1 : 0, 'push-type': 'LiveActivity' };
    const answer = await this.#ask('POST', 'channels', [], JSON.stringify(body), 201);
    return field(answer, 'apns-channel-id') ?? '';
  }

  async read(channel: string): Promise<unknown> {
    return JSON.parse((await this.#ask('GET', 'channels', ['apns-channel-id', channel], '', 200)).body.toString());
  }

  async remove(channel: string): Promise<void> {
    await this.#ask('DELETE', 'channels', ['apns-channel-id', channel], '', 204);
  }

  async list(): Promise<readonly string[]> {
    const answer = await this.#ask('GET', 'all-channels', [], '', 200);
    return (JSON.parse(answer.body.toString()) as { channels?: readonly string[] }).channels ?? [];
  }

  close(): Promise<void> {
    return this.#client.close();
  }

  async #ask(
    method: RequestHead['method'],
    what: string,
    fields: readonly string[],
    body: string,
    expected: number,
  ): Promise<Answer> {
    const { credentials, environment } = this.#options;
    const head: RequestHead = {
      method,
      authority: endpoints[environment].host,
      fields: ['authorization', `bearer ${this.#token.current()}`],
    };
    const reply = await ask(this.#client, { head, path: `/1/apps/${credentials.bundleId}/${what}`, fields, body });
    if (reply.kind !== 'answer') throw new ChannelError(undefined, `${reply.kind}:${reply.cause}`);
    if (reply.status !== expected) throw new ChannelError(reply.status, reasonOf(reply));
    return reply;
  }
}

function reasonOf(answer: Answer): string {
  try {
    return String((JSON.parse(answer.body.toString()) as { reason?: unknown }).reason);
  } catch {
    return String(answer.status);
  }
}
