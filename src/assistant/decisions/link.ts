// The link of a mail under which one answer can be given without signing in. It names the person, the notice, the action
// and its end, and carries an HMAC. Whoever holds it holds that one answer: it leads to a page with a button, because
// scanners of mails follow every link, and it is spent once the question is decided.
import { createHmac, timingSafeEqual } from 'node:crypto';
import { Refusal } from '../../kit/refusal.ts';

export type AnswerLink = {
  readonly recipientId: string;
  readonly noticeId: string;
  readonly actionId: string;
  /** Afterwards the answer must be given in the inbox. */
  readonly expiresAt: Date;
};

/** Secrets, the newest first: it signs; links that older ones signed stay valid. At least 16 bytes each. */
export type AnswerKeys = readonly [Uint8Array, ...Uint8Array[]];

const PURPOSE = 'carillon answer 1\n';

/** The path under the public address: `/v1/answers/<token>`. */
export function answerPath(link: AnswerLink, keys: AnswerKeys): string {
  const seconds = Math.floor(link.expiresAt.getTime() / 1000);
  const payload = Buffer.from(JSON.stringify([link.recipientId, link.noticeId, link.actionId, seconds])).toString(
    'base64url',
  );
  return `/v1/answers/${payload}.${mac(payload, keys[0]).toString('base64url')}`;
}

/** What a token says. Throws `answer_link_invalid` unless one of our keys signed it, `link_spent` when it is too old. */
export function readAnswerLink(token: string, keys: AnswerKeys, now: Date): AnswerLink {
  const [payload = '', signature = '', ...rest] = token.split('.');
  const given = Buffer.from(signature, 'base64url');
  if (rest.length > 0 || !keys.some((key) => sameBytes(given, mac(payload, key)))) {
    throw new Refusal('answer_link_invalid', 'The link is incomplete, or was not made by this server.');
  }
  // Ours, as the signature says: so it is what was signed.
  const [recipientId, noticeId, actionId, seconds] = JSON.parse(Buffer.from(payload, 'base64url').toString()) as [
    string,
    string,
    string,
    number,
  ];
  const expiresAt = new Date(seconds * 1000);
  if (expiresAt <= now) throw new Refusal('link_spent', 'The link is too old. Answer in your inbox instead.');
  return { recipientId, noticeId, actionId, expiresAt };
}

function mac(payload: string, key: Uint8Array): Buffer {
  return createHmac('sha256', key).update(PURPOSE).update(payload).digest();
}

function sameBytes(a: Buffer, b: Buffer): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}
