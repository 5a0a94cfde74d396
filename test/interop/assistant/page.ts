// A page with Direct Line's own client, unmodified: what it has seen, in its order. Activities of one id replace each
// other, as a page does it; `all` keeps each.
import { createRequire } from 'node:module';
import { eventually } from '../../support/eventually.ts';
import { installXmlHttpRequest } from '../../support/xml-http-request.ts';

installXmlHttpRequest();
// Its own types describe a client of rxjs 5, which is not typed here; this is what the tests use of it.
type Observable<T> = {
  subscribe(next: (value: T) => void, error?: (error: unknown) => void): { unsubscribe(): void };
};
export type Seen = {
  readonly id: string;
  readonly type: string;
  readonly text?: string;
  readonly timestamp: string;
  readonly from: { readonly id: string; readonly role: string };
  readonly attachments?: readonly {
    readonly contentType: string;
    readonly content?: unknown;
    readonly contentUrl?: string;
  }[];
  readonly channelData?: Record<string, unknown>;
};
type Client = {
  readonly activity$: Observable<Seen>;
  readonly connectionStatus$: Observable<number>;
  postActivity(activity: object): Observable<string>;
  reconnect(conversation: { token: string; streamUrl?: string | undefined; conversationId: string }): void;
  end(): void;
};
type Options = {
  readonly domain: string;
  readonly token?: string;
  readonly secret?: string;
  readonly webSocket: boolean;
  readonly conversationId?: string;
  readonly watermark?: string;
  readonly pollingInterval?: number;
  readonly random?: () => number;
  /** For one request; a reconnect that failed is tried again after it. In milliseconds. */
  readonly timeout?: number;
};
const { DirectLine } = createRequire(import.meta.url)('botframework-directlinejs') as {
  DirectLine: new (options: Options) => Client;
};

/** The client's names of its states. */
export const ONLINE = 2;
export const EXPIRED = 3;

export class Page {
  readonly client: Client;
  readonly all: Seen[] = [];
  status = 0;
  readonly #subscriptions: { unsubscribe(): void }[];

  /** The shortest waits that the client knows: 200 ms between polls, 3 s before a reconnect. */
  constructor(options: Options) {
    this.client = new DirectLine({ pollingInterval: 200, random: () => 0, ...options });
    this.#subscriptions = [
      this.client.connectionStatus$.subscribe((status) => {
        this.status = status;
      }),
      this.client.activity$.subscribe(
        (activity) => this.all.push(activity),
        () => undefined,
      ),
    ];
  }

  get texts(): (string | undefined)[] {
    const latest = new Map<string, Seen>();
    for (const each of this.all.filter(({ type }) => type === 'message')) latest.set(each.id, each);
    return [...latest.values()].sort((a, b) => (a.timestamp < b.timestamp ? -1 : 1)).map(({ text }) => text);
  }

  /** Resolves with the id that the server gave, or `retry`. */
  say(text: string, more: object = {}): Promise<string> {
    const activity = { type: 'message', text, from: { id: 'whoever' }, ...more };
    return new Promise((resolve, reject) => {
      this.client.postActivity(activity).subscribe(resolve, reject);
    });
  }

  sees(text: string, withinMs = 10_000): Promise<void> {
    return eventually(() => {
      if (!this.texts.includes(text)) throw new Error(`${text} is not among ${JSON.stringify(this.texts)}`);
    }, withinMs);
  }

  close(): void {
    for (const subscription of this.#subscriptions) subscription.unsubscribe();
    this.client.end();
  }
}
