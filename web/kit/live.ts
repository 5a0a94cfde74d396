// One open event stream that comes back by itself. `fetch` instead of EventSource, because EventSource hides why it
// failed (signed out? restarting?) and cannot be told where to resume after a longer cut.
//
//   connecting --headers--> live --end, error, silence--> waiting --pause or online--> connecting
//        `------401--------> signedOut (stays)
import { type Frame, FrameReader } from './sse.ts';

export type LiveState = 'connecting' | 'live' | 'waiting' | 'signedOut';
export type LiveListener = { onFrame(frame: Frame): void; onState(state: LiveState): void };

const SILENCE_MS = 60_000; // the server pings more often than that
const PAUSES_MS = [300, 1_000, 2_000, 5_000, 10_000];

export class LiveStream {
  readonly #path: string;
  readonly #listener: LiveListener;
  readonly #over = new AbortController();
  #lastId: string | undefined;
  #failures = 0;

  /** `after` is the id to resume from at the first connection. */
  constructor(path: string, listener: LiveListener, after?: string) {
    this.#path = path;
    this.#lastId = after;
    this.#listener = listener;
  }

  /** Runs until `stop`. Call it once. */
  async start(): Promise<void> {
    while (!this.#over.signal.aborted) {
      this.#listener.onState('connecting');
      if ((await this.#attempt().catch(() => 'cut')) === 'signedOut') return this.#listener.onState('signedOut');
      if (this.#over.signal.aborted) return;
      this.#listener.onState('waiting');
      await this.#pause();
    }
  }

  stop(): void {
    this.#over.abort();
  }

  async #attempt(): Promise<'cut' | 'signedOut'> {
    const silence = new AbortController();
    const response = await fetch(this.#path, {
      headers: { accept: 'text/event-stream', ...(this.#lastId !== undefined && { 'last-event-id': this.#lastId }) },
      signal: AbortSignal.any([this.#over.signal, silence.signal]),
    });
    if (response.status === 401) return 'signedOut';
    if (!response.ok || !response.body) return 'cut';
    this.#failures = 0;
    this.#listener.onState('live');
    await this.#read(response.body, silence);
    return 'cut';
  }

  async #read(body: ReadableStream<Uint8Array>, silence: AbortController): Promise<void> {
    const frames = new FrameReader();
    const decoder = new TextDecoder();
    const pieces = body.getReader();
    let timer = setTimeout(() => silence.abort(), SILENCE_MS);
    try {
      for (let piece = await pieces.read(); !piece.done; piece = await pieces.read()) {
        clearTimeout(timer);
        timer = setTimeout(() => silence.abort(), SILENCE_MS);
        for (const frame of frames.read(decoder.decode(piece.value, { stream: true }))) this.#take(frame);
      }
    } finally {
      clearTimeout(timer);
    }
  }

  #take(frame: Frame): void {
    if (frame.id !== undefined) this.#lastId = frame.id;
    this.#listener.onFrame(frame);
  }

  // Ends early when the machine is online again or the page is looked at: nobody should wait for a timer then.
  #pause(): Promise<void> {
    const ms = (PAUSES_MS[Math.min(this.#failures++, PAUSES_MS.length - 1)] ?? 0) * (0.75 + Math.random() / 2);
    const woken = new AbortController();
    return new Promise<void>((resolve) => {
      const once = { signal: woken.signal };
      const timer = setTimeout(resolve, ms);
      woken.signal.addEventListener('abort', () => clearTimeout(timer));
      window.addEventListener('online', () => resolve(), once);
      document.addEventListener('visibilitychange', () => resolve(), once);
      this.#over.signal.addEventListener('abort', () => resolve(), once);
    }).finally(() => woken.abort());
  }
}
