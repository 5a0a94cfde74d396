// Every error that leaves over HTTP leaves here, as application/problem+json (RFC 9457). A refusal of ours says what its
// catalogue entry says; what Fastify refuses before a handler runs is named in the same catalogue; anything else is our
// bug, told to the log in full and to the caller not at all.
import { STATUS_CODES } from 'node:http';
import { Refusal, type RefusalCode, refusals } from '../../kit/refusal.ts';
import { isOutage, tellDiskFull } from '../../topics/log/connection.ts';

export type FieldFault = { readonly field: string; readonly problem: string };

export type Problem = {
  /** An anchor of the page `/docs`, which explains the code. */
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly code: RefusalCode;
  readonly retryable: boolean;
  readonly requestId?: string;
  readonly [detail: string]: unknown;
};

type FrameworkError = Error & {
  readonly code?: string;
  readonly statusCode?: number;
};

const byStatus: Readonly<Record<number, RefusalCode>> = {
  400: 'bad_request',
  404: 'not_found',
  405: 'method_not_allowed',
  408: 'request_timeout',
  413: 'too_large',
  414: 'uri_too_long',
  415: 'unsupported_media_type',
  431: 'headers_too_large',
  503: 'stopping',
};

/** The refusal that `error` amounts to; undefined when it is a bug of ours. */
export function toRefusal(error: unknown): Refusal | undefined {
  if (error instanceof Refusal) return error;
  const told = tellDiskFull(error);
  if (told instanceof Refusal) return told;
  if (isOutage(error)) return new Refusal('busy', 'The database does not answer; try again in a moment.', {}, error);
  const { code, statusCode, message } = error as FrameworkError;
  const known = statusCode === undefined ? undefined : byStatus[statusCode];
  // Only errors that Fastify itself marks are safe to show; any other may speak of our inside.
  if (known === undefined || !code?.startsWith('FST_')) return undefined;
  return new Refusal(known, known === 'unsupported_media_type' ? unsupported(message) : `${message}.`, {}, error);
}

export function toProblem(refusal: Refusal, requestId?: string): Problem {
  const { status, title, retryable } = refusals[refusal.code];
  return {
    type: `/docs#error-${refusal.code}`,
    title,
    status,
    detail: refusal.message,
    code: refusal.code,
    retryable,
    ...(requestId === undefined ? {} : { requestId }),
    ...refusal.details,
  };
}

export function bugRefusal(): Refusal {
  return new Refusal('internal_error', 'The server failed. Its log has the cause under this request id.');
}

function unsupported(message: string): string {
  return `${message}. Send application/json.`;
}

/** The answer to bytes that never became a request (Node refuses them before Fastify sees anything). */
export function rawProblem(error: NodeJS.ErrnoException): string {
  const code = rawCode(error.code);
  const body = JSON.stringify(toProblem(new Refusal(code, rawWords[code]!)));
  const { status } = refusals[code];
  return `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\ncontent-type: application/problem+json\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`;
}

function rawCode(code: string | undefined): RefusalCode {
  if (code === 'HPE_HEADER_OVERFLOW') return 'headers_too_large';
  return code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 'request_timeout' : 'bad_request';
}

const rawWords: Partial<Record<RefusalCode, string>> = {
  headers_too_large: 'The headers of a request may have 16 KiB in total.',
  request_timeout: 'The request did not arrive in time.',
  bad_request: 'These bytes are no HTTP request.',
};
