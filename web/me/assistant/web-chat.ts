// Web Chat, loaded when somebody opens the panel: one file of its own (web/webchat/take.mjs), which puts itself on `window`.
// Only what is used here is typed.

export type DirectLine = {
  readonly connectionStatus$: { subscribe(listener: (status: number) => void): { unsubscribe(): void } };
  end(): void;
};

/** Statuses of botframework-directlinejs. */
export const statuses = { online: 2, expiredToken: 3, failedToConnect: 4, ended: 5 } as const;

type CardAction = { readonly type: string; readonly value?: unknown };
type CardActionMiddleware = () => (
  next: (given: { readonly cardAction: CardAction }) => unknown,
) => (given: { readonly cardAction: CardAction }) => unknown;

export type WebChat = {
  createDirectLine(options: { readonly token: string; readonly domain: string }): DirectLine;
  renderWebChat(
    props: {
      readonly directLine: DirectLine;
      readonly userID: string;
      readonly username: string;
      readonly locale: string;
      readonly styleOptions: Readonly<Record<string, unknown>>;
      readonly adaptiveCardsHostConfig: object;
      readonly cardActionMiddleware: CardActionMiddleware;
      readonly renderMarkdown: (text: string) => string;
    },
    element: HTMLElement,
  ): void;
};

declare global {
  interface Window {
    WebChat?: WebChat;
  }
}

const FILE = '/vendor/webchat-4.18.1.js';
let loading: Promise<WebChat> | undefined;

/** Rejects when the file cannot be read; the next call tries again. */
export function loadWebChat(): Promise<WebChat> {
  loading ??= load().catch((error: unknown) => {
    loading = undefined;
    throw error;
  });
  return loading;
}

function load(): Promise<WebChat> {
  return new Promise((resolve, reject) => {
    const script = document.createElement('script');
    script.src = FILE;
    script.addEventListener('load', () =>
      window.WebChat ? resolve(window.WebChat) : reject(new Error('Web Chat did not start.')),
    );
    script.addEventListener('error', () => {
      script.remove();
      reject(new Error('The server cannot be reached. Is this device online?'));
    });
    document.head.append(script);
  });
}
