// Long work as a stream: events `progress` with how far it is, then `done` with its result or `failed` with its problem.
// The work goes on when its watcher leaves; only the newest figure waits to be sent.
import type { Frame, FrameSource } from './event-stream.ts';
import { bugRefusal, toProblem, toRefusal } from './problem.ts';

export class Progress implements FrameSource {
  #newest: Frame | undefined;
  #last: Frame | undefined;
  #ended = false;
  #wake: (() => void) | undefined;

  /** `work` tells how far it is; both figures go out under `name`. */
  constructor(work: (tell: (count: number) => void) => Promise<number>, name: string) {
    const tell = (count: number) => this.#offer({ event: 'progress', data: { [name]: count } });
    work(tell).then(
      (count) => this.#end({ event: 'done', data: { [name]: count } }),
      (error) => this.#end({ event: 'failed', data: toProblem(toRefusal(error) ?? bugRefusal()) }),
    );
  }

  async next(): Promise<Frame | undefined> {
    while (!this.#newest && !this.#last && !this.#ended) await new Promise<void>((resolve) => (this.#wake = resolve));
    const frame = this.#newest ?? this.#last;
    if (this.#newest) this.#newest = undefined;
    else this.#last = undefined;
    return frame;
  }

  close(): void {
    this.#ended = true;
    this.#newest = undefined;
    this.#last = undefined;
    this.#wake?.();
  }

  #offer(frame: Frame): void {
    if (this.#ended) return;
    this.#newest = frame;
    this.#wake?.();
  }

  #end(frame: Frame): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#last = frame;
    this.#wake?.();
  }
}
