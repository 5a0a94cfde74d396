// One HTTP call to a service that we post to. It ends in time, reads no more than it must, follows no redirect (the
// credentials would travel along), and what a network does wrong is a value, not an exception.
import { retryAfterMs } from '../kit/retry-after.ts';

export type Answer = {
  /** 0: there was no answer. */
  readonly status: number;
  /** The JSON of the body; undefined where it is none. */
  readonly json: unknown;
  readonly text: string;
  /** From `Retry-After`, in seconds or as a date. */
  readonly retryAfterMs: number | undefined;
  /** Why there was no answer: `timeout`, or the code of the system. */
  readonly cause: string | undefined;
};

export type Call = {
  readonly method: 'GET' | 'POST' | 'PUT';
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly timeoutMs?: number;
};

const TIMEOUT_MS = 15_000;
const MOST_BYTES = 1024 * 1024;

export async function call({ method, url, headers = {}, body, timeoutMs = TIMEOUT_MS }: Call): Promise<Answer> {
  try {
    const signal = AbortSignal.timeout(timeoutMs);
    const init = { method, headers, signal, redirect: 'manual' as const };
    const response = await fetch(url, body === undefined ? init : { ...init, body });
    const text = await readText(response);
    const waitMs = retryAfterMs(response.headers.get('retry-after'), Date.now());
    return { status: response.status, json: parseJson(text), text, retryAfterMs: waitMs, cause: undefined };
  } catch (error) {
    return { status: 0, json: undefined, text: '', retryAfterMs: undefined, cause: causeOf(error) };
  }
}

async function readText(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body ?? []) {
    size += chunk.length;
    if (size > MOST_BYTES) break; // leaving the loop cancels the rest
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // an answer of a proxy, or an empty one
  }
}

function causeOf(error: unknown): string {
  if (error instanceof DOMException && error.name === 'TimeoutError') return 'timeout';
  const { cause } = error as { cause?: { code?: unknown } };
  return typeof cause?.code === 'string' ? cause.code : 'unreachable';
}
