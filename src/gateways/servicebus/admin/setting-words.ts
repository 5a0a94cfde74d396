// A setting that the broker refuses, in the words of the administration: its field's name, and the limits in its units.
import type { Refusal } from '../../../kit/refusal.ts';
import { printDuration } from './duration.ts';

type Field = { readonly name: string; readonly print: (value: number) => string };

const kilobytes = (bytes: number) => String(bytes / 1024);
const megabytes = (bytes: number) => String(Math.max(1, Math.floor(bytes / 1024 / 1024)));

/** By the broker's name of the setting. */
const fields: Readonly<Record<string, Field>> = {
  lockDurationMs: { name: 'LockDuration', print: printDuration },
  defaultTimeToLiveMs: { name: 'DefaultMessageTimeToLive', print: printDuration },
  autoDeleteOnIdleMs: { name: 'AutoDeleteOnIdle', print: printDuration },
  duplicateDetectionWindowMs: { name: 'DuplicateDetectionHistoryTimeWindow', print: printDuration },
  maxDeliveryCount: { name: 'MaxDeliveryCount', print: String },
  maxMessageBytes: { name: 'MaxMessageSizeInKilobytes', print: kilobytes },
  maxSizeBytes: { name: 'MaxSizeInMegabytes', print: megabytes },
  userMetadata: { name: 'UserMetadata', print: String },
  requiresSession: { name: 'RequiresSession', print: String },
};

/** What is wrong with the field; undefined for what is no field with limits. */
export function settingWords({ message, details }: Refusal): string | undefined {
  const { setting, least, most } = details;
  const field = fields[String(setting)];
  if (!field) return undefined;
  if (typeof least !== 'number' || typeof most !== 'number') return message.replaceAll(String(setting), field.name);
  const open = most === Number.MAX_SAFE_INTEGER;
  const range = open ? `${field.print(least)} or more` : `between ${field.print(least)} and ${field.print(most)}`;
  return `The value for '${field.name}' must be ${range}.`;
}
