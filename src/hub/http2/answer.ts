// An answer as it comes in.
//
//   sent --HEADERS 1xx--> sent --HEADERS--> answering --DATA*--> [--HEADERS (trailers)] --END_STREAM--> settled
//
// Anything else makes the answer malformed (RFC 9113 section 8.1.1): that stream is reset, the connection lives on.

import type { Answer } from './port.ts';

const none = Buffer.alloc(0);
// Names that passed the check once. Bounded, for a peer may make up as many as it likes.
const knownNames = new Set<string>();
const connectionFields = new Set(['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade']);

export class AnswerReader {
  #status = 0;
  #fields: string[] = [];
  #chunks: Buffer[] | undefined;
  #bodyBytes = 0;
  #emptyFrames = 0;

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
  for (let i = from; i < fields.length; i += 2) if (!isFieldName(fields[i]!)) return 'bad_field';
  return undefined;
}

/** Whether a field of an answer may have this name. */
export function isFieldName(name: string): boolean {
  if (knownNames.has(name)) return true;
  if (!/^[!#$%&'*+\-.^_`|~0-9a-z]+$/.test(name) || connectionFields.has(name)) return false;
  if (knownNames.size < 1000) knownNames.add(name);
  return true;
}

function contentLength(fields: readonly string[]): number | undefined {
  for (let i = 2; i < fields.length; i += 2) if (fields[i] === 'content-length') return Number(fields[i + 1]);
  return undefined;
}
