// What a `carillon.config.ts` is made of. These functions only give types to what is written there; checking and loading
// happen when the server starts.

import type { CardPolicy } from '../../assistant/cards/policy.ts';
import type { IngestMapping } from '../../events/ingest.ts';
import type { Category, Notification } from '../../handler/notification.ts';
import type { HubCredentials } from '../../hub/hubs.ts';
import type { TopicSettings } from '../../topics/entities/settings.ts';
import type { AssistantConfig } from './assistant.ts';

export type Config = {
  /** Topics to be there when the server has started; those that exist keep what is not named here. */
  readonly topics?: Readonly<Record<string, Partial<TopicSettings>>>;
  /** What people choose by. A category that only a notification names is fine; here it gets a title and defaults. */
  readonly categories?: Readonly<Record<string, Category>>;
  readonly notifications?: readonly Notification[];
  /** How `POST /v1/ingest/{name}` turns other systems' JSON into events. */
  readonly ingest?: readonly IngestMapping[];
  /**
   * Notification hubs, one per mobile app, each with the credentials of its push services; `{ main: {} }` if absent. The
   * secrets come from the environment or files; they are kept encrypted, and a platform left out keeps what it had.
   */
  readonly hubs?: Readonly<Record<string, HubCredentials>>;
  readonly assistant?: AssistantConfig;
  /** Limits of the Adaptive Cards that notifications may write themselves, and where their images may come from. */
  readonly cards?: Partial<CardPolicy>;
  readonly branding?: Branding;
};

export type Branding = {
  /** The name that pages and mails show. */
  readonly name?: string;
};

export function defineConfig(config: Config): Config {
  return config;
}

/** `Data` is what the author knows about the data of the events; the fields of `event.data` then have types. */
export function defineNotification<Data = unknown>(notification: Notification<Data>): Notification {
  // Notifications of different data live in one list. The handler passes whatever the event holds; that it is a `Data` is
  // the author's knowledge, as `EventOf` says.
  return notification as Notification;
}
