// Whether a request really comes from Slack: `X-Slack-Signature` is `v0=` and the HMAC-SHA256 of `v0:{timestamp}:{body}`
// under the app's signing secret; older than five minutes it may be a replay. Source: docs.slack.dev, "Verifying requests".
import { createHmac, timingSafeEqual } from 'node:crypto';
import { Refusal } from '../../kit/refusal.ts';

const WINDOW_SECONDS = 5 * 60;

export type Signed = {
  readonly signature: string | undefined;
  /** Seconds since 1970, as text. */
  readonly timestamp: string | undefined;
  readonly body: Uint8Array;
};

/** Refuses `token_invalid`. An empty secret verifies nothing. */
export function verifySlack(secret: string, { signature = '', timestamp = '', body }: Signed, now: Date): void {
  const ageSeconds = Math.abs(now.getTime() / 1000 - Number(timestamp));
  const isFresh = /^\d{1,12}$/.test(timestamp) && ageSeconds <= WINDOW_SECONDS;
  const expected = createHmac('sha256', secret).update(`v0:${timestamp}:`).update(body).digest('hex');
  const given = Buffer.from(signature);
  const wanted = Buffer.from(`v0=${expected}`);
  const matches = secret !== '' && given.length === wanted.length && timingSafeEqual(given, wanted);
  if (!isFresh || !matches)
    throw new Refusal('token_invalid', 'The signature of the request is not valid, or too old.');
}
