// The client commands' way to a server: its HTTP API, like anybody else. Without an address or a key it looks into the
// data folder: the running server tells its address over the lock's socket, and the admin key is a file there.
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { ADMIN_KEY_FILE } from '../keys.ts';
import { findHolder } from '../lock.ts';
import { readEnvironment } from '../settings.ts';
import { clientTable, settingsTable } from '../settings-table.ts';
import { type Call, stringOption } from './command.ts';

/** The server refused: exit status 1. `code` is a code of docs/errors.md. */
export class Refused extends Error {
  override readonly name = 'Refused';
  readonly status: number;
  readonly problem: Readonly<Record<string, unknown>>;

  constructor(status: number, problem: Readonly<Record<string, unknown>>) {
    super(String(problem.detail ?? problem.title ?? `The server answered ${status}.`));
    this.status = status;
    this.problem = problem;
  }
}

/** No server answers: exit status 3. */
export class Unreachable extends Error {
  override readonly name = 'Unreachable';
}

export type Request = {
  readonly query?: Readonly<Record<string, string | number | undefined>>;
  readonly body?: unknown;
  /** Instead of a body that is JSON. */
  readonly raw?: Uint8Array<ArrayBuffer>;
  readonly contentType?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
};

export class Client {
  readonly url: string;
  readonly #key: string | undefined;

  constructor(url: string, key: string | undefined) {
    this.url = url;
    this.#key = key;
  }

  /** The JSON that the server answers; undefined when it answers nothing. */
  async call<T>(method: string, path: string, request: Request = {}): Promise<T> {
    const response = await this.open(method, path, request);
    const text = await response.text();
    // The caller knows the shape from the API; commands print it as it is.
    return (text === '' ? undefined : JSON.parse(text)) as T;
  }

  /** The response itself, for streams and text. Throws what is not a success. */
  async open(method: string, path: string, request: Request = {}): Promise<Response> {
    const target = new URL(`${this.url}${path}`);
    for (const [name, value] of Object.entries(request.query ?? {}))
      if (value !== undefined) target.searchParams.set(name, String(value));
    const response = await fetch(target, {
      method,
      headers: this.#headers(request),
      body: request.raw ?? (request.body === undefined ? null : JSON.stringify(request.body)),
      signal: request.signal ?? null,
    }).catch((error: unknown) => {
      if (request.signal?.aborted) throw error;
      const cause = (error as Error).cause as NodeJS.ErrnoException | undefined;
      throw new Unreachable(`No server answers at ${this.url} (${cause?.code ?? (error as Error).message}).`);
    });
    if (!response.ok) throw new Refused(response.status, await problemOf(response));
    return response;
  }

  #headers({ body, raw, contentType, headers }: Request): Record<string, string> {
    return {
      ...(this.#key === undefined ? {} : { authorization: `Bearer ${this.#key}` }),
      ...(body === undefined && raw === undefined ? {} : { 'content-type': contentType ?? 'application/json' }),
      ...headers,
    };
  }
}

async function problemOf(response: Response): Promise<Record<string, unknown>> {
  const text = await response.text();
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch {
    return { title: `The server answered ${response.status}`, detail: text.slice(0, 200) };
  }
}

export type Found = {
  readonly url: string;
  /** Where the server of the data folder listens for Service Bus clients; unknown of a server whose address was said. */
  readonly amqpPort: number | undefined;
  readonly key: string | undefined;
  /** The address was said, not found. */
  readonly given: boolean;
  /** Where the key comes from, in words. */
  readonly keyFrom: string;
};

/** Where the local server is and which key opens it, as far as the data folder tells. */
export async function findServer(call: Pick<Call, 'options' | 'env'>): Promise<Found> {
  const given = readEnvironment({ ...clientTable, dataDir: settingsTable.dataDir, port: settingsTable.port }, call.env);
  const folder = resolve(stringOption(call, 'data-dir') ?? given.dataDir);
  const said = stringOption(call, 'url') ?? given.url;
  const holder = said === undefined ? await findHolder(folder) : undefined;
  const url = said ?? holder?.url ?? `http://127.0.0.1:${given.port}`;
  const preset = readEnvironment({ adminKey: settingsTable.adminKey }, call.env).adminKey;
  const file = join(folder, ADMIN_KEY_FILE);
  const kept = await readFile(file, 'utf8').catch(() => undefined);
  const keys = [
    ['--key', stringOption(call, 'key')],
    ['CARILLON_KEY', given.key],
    ['CARILLON_ADMIN_KEY', preset],
    [file, kept?.trim()],
  ] as const;
  const [keyFrom, key] = keys.find(([, each]) => each !== undefined) ?? [file, undefined];
  return { url: url.replace(/\/+$/, ''), amqpPort: holder?.amqpPort, key, given: said !== undefined, keyFrom };
}

/** A path segment. */
export function segment(text: string): string {
  return encodeURIComponent(text);
}
