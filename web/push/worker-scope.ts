// The few names of a service worker's world that ours uses. TypeScript's library of them contradicts that of pages, and one
// program cannot have both.

export type WorkerEvent = { waitUntil(work: Promise<unknown>): void };
export type FetchEvent = WorkerEvent & { readonly request: Request; respondWith(answer: Promise<Response>): void };
export type NotificationClick = WorkerEvent & { readonly notification: Notification };
export type SubscriptionChange = WorkerEvent & {
  readonly oldSubscription: PushSubscription | null;
  readonly newSubscription: PushSubscription | null;
};
export type WindowClient = {
  readonly id: string;
  readonly url: string;
  readonly focused: boolean;
  focus(): Promise<unknown>;
  postMessage(message: unknown, transfer: readonly Transferable[]): void;
};

export type WorkerScope = {
  readonly location: Location;
  readonly registration: ServiceWorkerRegistration;
  readonly clients: {
    claim(): Promise<void>;
    get(id: string): Promise<WindowClient | undefined>;
    matchAll(of: { type: 'window'; includeUncontrolled: boolean }): Promise<readonly WindowClient[]>;
    openWindow(url: string): Promise<unknown>;
  };
  skipWaiting(): Promise<void>;
  // biome-ignore lint/suspicious/noExplicitAny: each event has a type of its own, which the listener names
  addEventListener(name: string, listener: (event: any) => void): void;
};
