// On what a change is conditional. Source: RFC 9110, section 13.1.1.
import type { IncomingHttpHeaders } from 'node:http';
import { Refusal } from './refusal.ts';

/**
 * From `If-Match`: `"3"`, `W/"3"`, `*`, and `"*"` as the JavaScript client of notification hubs writes it. Refuses
 * (`precondition_failed`) an etag that is none of ours.
 */
export function conditionOf({ headers }: { readonly headers: IncomingHttpHeaders }): { readonly etag?: number | '*' } {
  const given = headers['if-match']?.trim();
  if (given === undefined) return {};
  if (given.replaceAll('"', '') === '*') return { etag: '*' };
  const number = Number(/^(?:W\/)?"?(\d{1,9})"?$/.exec(given)?.[1]);
  if (Number.isNaN(number)) throw new Refusal('precondition_failed', 'The If-Match is no etag of ours.');
  return { etag: number };
}
