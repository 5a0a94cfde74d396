// The conversation's connection: a token of the signed-in person, a socket that Web Chat keeps, and a new one of each when
// the token has run out or the server did not let us in. What was said meanwhile comes from the server, so nothing is lost.
import { Problem, post } from '../../kit/api.ts';
import { type DirectLine, statuses, type WebChat } from './web-chat.ts';

export type Connection = { readonly directLine: DirectLine; readonly number: number };
type Listener = { onConnection(connection: Connection): void; onProblem(error: unknown): void };
type Token = { readonly token: string };

const PAUSES_MS = [1_000, 2_000, 5_000, 15_000];

/** Connects until `stop`; hands over each new connection, for Web Chat to be shown with. */
export class Connecting {
  readonly #webChat: WebChat;
  readonly #listener: Listener;
  #current: DirectLine | undefined;
  #number = 0;
  #failures = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #stopped = false;

  constructor(webChat: WebChat, listener: Listener) {
    this.#webChat = webChat;
    this.#listener = listener;
  }

  async start(): Promise<void> {
    try {
      const { token } = await post<Token>('/v3/directline/tokens/generate');
      if (!this.#stopped) this.#connect(token);
    } catch (error) {
      this.#listener.onProblem(error);
      if (!(error instanceof Problem && error.status === 401)) this.#again();
    }
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#current?.end();
  }

  #connect(token: string): void {
    const domain = `${window.location.origin}/v3/directline`;
    const directLine = this.#webChat.createDirectLine({ token, domain });
    this.#current = directLine;
    this.#number += 1;
    directLine.connectionStatus$.subscribe((status) => {
      if (directLine !== this.#current || this.#stopped) return;
      if (status === statuses.online) this.#failures = 0;
      if (status === statuses.expiredToken || status === statuses.failedToConnect || status === statuses.ended)
        this.#again();
    });
    this.#listener.onConnection({ directLine, number: this.#number });
  }

  #again(): void {
    if (this.#stopped) return;
    clearTimeout(this.#timer);
    const pause = PAUSES_MS[Math.min(this.#failures++, PAUSES_MS.length - 1)];
    this.#timer = setTimeout(() => void this.start(), pause);
  }
}
