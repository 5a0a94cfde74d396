// Server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html). A stream pulls its next frame only
// when the socket has taken the one before, so a slow reader holds back its source and not our memory. A comment goes out
// when nothing else does, so that proxies keep the connection and a dead one is found out.
//
//   open --frame, drained--> open        open --reader gone | source ends | server stops--> closed, source closed once
import type { OutgoingHttpHeaders, ServerResponse } from 'node:http';
import type { App, Reply, Request } from './app.ts';

export type Frame = { readonly event: string; readonly data: unknown; readonly id?: string | number };

/** What a stream reads from: `next` resolves to undefined at the end, also when `close` is called meanwhile. */
export type FrameSource = { next(): Promise<Frame | undefined>; close(): void };

export const PING_EVERY_MS = 15_000;

export class EventStreams {
  readonly #open = new Set<FrameSource>();
  readonly #pingEveryMs: number;

  constructor(app: App, pingEveryMs = PING_EVERY_MS) {
    this.#pingEveryMs = pingEveryMs;
    app.addHook('preClose', async () => {
      for (const source of this.#open) source.close();
    });
  }

  get size(): number {
    return this.#open.size;
  }

  /** Answers with the frames of `source` until either side ends. Takes the reply over from Fastify. */
  async serve(request: Request, reply: Reply, source: FrameSource): Promise<void> {
    reply.hijack();
    const { raw } = reply;
    // It ends when the connection does, so nothing needs a length: a frame is one write instead of four.
    raw.removeHeader('transfer-encoding');
    raw.writeHead(200, headersOf(request, reply));
    const close = () => source.close();
    raw.on('close', close);
    raw.on('error', close); // 'close' follows; without a listener an error would be thrown
    this.#open.add(source);
    const ping = setInterval(() => raw.writableNeedDrain || raw.write(': ping\n\n'), this.#pingEveryMs);
    try {
      raw.write('retry: 1000\n\n'); // browsers wait longer by themselves
      await pump(raw, source);
    } finally {
      clearInterval(ping);
      this.#open.delete(source);
      close();
      raw.end();
    }
  }
}

async function pump(raw: ServerResponse, source: FrameSource): Promise<void> {
  for (let frame = await source.next(); frame && !raw.destroyed; frame = await source.next()) {
    if (!raw.write(frameText(frame))) await drained(raw);
  }
}

function drained(raw: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      raw.off('drain', done);
      raw.off('close', done);
      resolve();
    };
    raw.on('drain', done);
    raw.on('close', done);
    if (raw.destroyed) done();
  });
}

/** JSON has no line breaks of its own, so one `data` line is enough. */
export function frameText({ event, data, id }: Frame): string {
  return `${id === undefined ? '' : `id: ${id}\n`}event: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
}

function headersOf(request: Request, reply: Reply): OutgoingHttpHeaders {
  const given = reply.getHeaders() as OutgoingHttpHeaders; // Fastify's own type is wider by undefined values
  return {
    ...given,
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-store',
    // Nothing can follow on it, and a stop need not wait for it to become idle. HTTP/2 has no such header.
    ...(request.raw.httpVersionMajor < 2 ? { connection: 'close' } : {}),
    'x-accel-buffering': 'no', // nginx would hold frames back
    'x-request-id': request.id,
  };
}

/** Where a stream resumes: after `Last-Event-ID`, which a browser sends when it reconnects, or the query's `after`. */
export function resumeAfter(request: Request, after: number | undefined): number | undefined {
  const header = request.headers['last-event-id'];
  if (typeof header === 'string' && /^\d{1,15}$/.test(header)) return Number(header);
  return after;
}
