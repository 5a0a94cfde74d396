// One call in flight: what is left of its body, and its answer as it comes in.
//
//   sent --HEADERS 1xx--> sent --HEADERS--> answering --DATA*--> [--HEADERS (trailers)] --END_STREAM--> settled
//
// Anything else makes the answer malformed (RFC 9113 section 8.1.1): that stream is reset, the connection lives on.

import type { Answer, Call } from './port.ts';

const none = Buffer.alloc(0);
// Names that passed the check once. Bounded, for a peer may make up as many as it likes.
const knownNames = new Set<string>();
const connectionFields = new Set(['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade']);

export class Stream {
  readonly id: number;
  readonly call: Call;
  /** On the connection's coarse clock. */
  readonly deadline: number;
  /** How much the peer lets us send; may be negative after its SETTINGS shrank. */
  window: number;
  /** What flow control kept back. */
  rest: Buffer | undefined;
  receivedBytes = 0;
  #status = 0;
  #fields: string[] = [];
  #chunks: Buffer[] | undefined;
  #bodyBytes = 0;
  #emptyFrames = 0;

  constructor(id: number, call: Call, window: number, deadline: number) {
    this.id = id;
    this.call = call;
    this.window = window;
    this.deadline = deadline;
  }

  /** Takes a decoded header block. Returns what is wrong with it, if anything. */
  takeHeaders(fields: string[], last: boolean): string | undefined {
    if (this.#status !== 0) return this.#takeTrailers(fields, last);
    const status = statusOf(fields);
    if (status === undefined) return 'no_status';
    const wrong = checkFields(fields, 2);
    if (wrong !== undefined) return wrong;
    if (status < 200) return last ? 'informational_end' : undefined;
    this.#status = status;
    this.#fields = fields;
    return undefined;
  }

  /** Takes a piece of the body (copied). Returns what is wrong with it, if anything. */
  takeData(bytes: Buffer, start: number, end: number, last: boolean, maxBytes: number): string | undefined {
    if (this.#status === 0) return 'data_before_headers';
    if (end === start) {
      this.#emptyFrames += 1;
      return last || this.#emptyFrames < 100 ? undefined : 'empty_frames';
    }
    this.#bodyBytes += end - start;
    if (this.#bodyBytes > maxBytes) return 'answer_too_large';
    const chunk = Buffer.from(bytes.subarray(start, end));
    if (this.#chunks === undefined) this.#chunks = [chunk];
    else this.#chunks.push(chunk);
    return undefined;
  }

  /** The whole answer once END_STREAM came, or what is wrong with it. */
  finish(): Answer | string {
    if (this.#status === 0) return 'no_status';
    const body =
      this.#chunks === undefined ? none : this.#chunks.length === 1 ? this.#chunks[0]! : Buffer.concat(this.#chunks);
    const fields = this.#fields;
    const length = contentLength(fields);
    if (length !== undefined && length !== body.length) return 'content_length';
    fields.splice(0, 2);
    return { kind: 'answer', status: this.#status, fields, body };
  }

  #takeTrailers(fields: readonly string[], last: boolean): string | undefined {
    if (!last) return 'trailers_without_end';
    const wrong = checkFields(fields, 0);
    if (wrong === undefined) this.#fields.push(...fields);
    return wrong;
  }
}

function statusOf(fields: readonly string[]): number | undefined {
  const text = fields[1];
  if (fields[0] !== ':status' || text === undefined || text.length !== 3) return undefined;
  const status = Number(text);
  // 101 does not exist in HTTP/2.
  return Number.isInteger(status) && status >= 100 && status !== 101 ? status : undefined;
}

function checkFields(fields: readonly string[], from: number): string | undefined {
  for (let i = from; i < fields.length; i += 2) {
    const name = fields[i]!;
    if (knownNames.has(name)) continue;
    if (!/^[!#$%&'*+\-.^_`|~0-9a-z]+$/.test(name) || connectionFields.has(name)) return 'bad_field';
    if (knownNames.size < 1000) knownNames.add(name);
  }
  return undefined;
}

function contentLength(fields: readonly string[]): number | undefined {
  for (let i = 2; i < fields.length; i += 2) if (fields[i] === 'content-length') return Number(fields[i + 1]);
  return undefined;
}
