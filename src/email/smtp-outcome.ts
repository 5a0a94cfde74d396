// What an SMTP failure means for the delivery: RFC 5321 section 4.2 (reply codes), RFC 3463 (enhanced status codes).
//
//   the server answered about this mail:   4yz -> retry        5yz -> refused, or gone where the mailbox is unknown
//   ... about us (credentials, sender):    down, with an alarm where only a human can mend it
//   it did not answer, or said good-bye:   unclear: the mail may be the reason (a server that chokes on it), or the
//                                          server may be away. The caller finds out by connecting anew.
// Never by message text: by nodemailer's `code` and `command`, and by the server's numbers.
import type { Outcome } from '../deliveries/channel.ts';
import { withoutAddresses } from './address.ts';

export type SmtpFailure = {
  readonly code?: unknown;
  readonly command?: unknown;
  readonly responseCode?: unknown;
  readonly response?: unknown;
  readonly message?: unknown;
};

export type SmtpOutcome = Outcome | { readonly kind: 'unclear'; readonly cause: string; readonly detail: string };

// RFC 3463 and the IANA registry: bad or moved mailbox, bad domain, bad syntax, null MX, mailbox disabled.
const MAILBOX_UNKNOWN = new Set(['5.1.1', '5.1.2', '5.1.3', '5.1.6', '5.1.10', '5.2.1']);
const SERVICE_CLOSING = 421;
const TOO_LARGE = 552;

/** What the failure of one mail means. */
export function smtpOutcome(failure: SmtpFailure): SmtpOutcome {
  const reply = replyOf(failure);
  const detail = detailOf(failure);
  if (failure.code === 'EAUTH' || failure.code === 'ENOAUTH' || failure.code === 'EOAUTH2') {
    return { kind: 'down', cause: 'smtp_auth', detail, alarm: !isTransient(reply) };
  }
  if (failure.code === 'ETLS') return { kind: 'down', cause: 'smtp_tls', detail, alarm: true };
  if (reply === undefined) return withoutReply(failure, detail);
  if (reply === SERVICE_CLOSING) return { kind: 'unclear', cause: 'smtp_421', detail };
  return aboutMail(failure, reply, detail);
}

/** What it means that a fresh connection could not be made, or not logged in. */
export function connectOutcome(failure: SmtpFailure): Outcome {
  const outcome = smtpOutcome(failure);
  if (outcome.kind === 'down') return outcome;
  const cause = replyOf(failure) === undefined ? 'smtp_unreachable' : `smtp_${replyOf(failure)}`;
  // A server that greets with 5yz refuses us, not a mail: waiting alone does not mend that.
  return { kind: 'down', cause, detail: detailOf(failure), alarm: isPermanent(replyOf(failure)) };
}

function aboutMail(failure: SmtpFailure, reply: number, detail: string): SmtpOutcome {
  const enhanced = enhancedOf(failure);
  const cause = enhanced ? `smtp_${reply}_${enhanced}` : `smtp_${reply}`;
  const aboutSender = failure.command === 'MAIL FROM' && isPermanent(reply) && reply !== TOO_LARGE;
  if (failure.command === 'RCPT TO' || failure.command === 'DATA' || failure.command === 'MAIL FROM') {
    if (aboutSender) return { kind: 'down', cause, detail, alarm: true };
    if (!isPermanent(reply)) return { kind: 'retry', cause, detail, retryAfterMs: undefined };
    if (enhanced && MAILBOX_UNKNOWN.has(enhanced)) return { kind: 'gone', cause, detail };
    return { kind: 'refused', cause, detail };
  }
  return { kind: 'down', cause, detail, alarm: isPermanent(reply) };
}

function withoutReply(failure: SmtpFailure, detail: string): SmtpOutcome {
  // Refused before a server saw it: the envelope or the content cannot be sent as it is.
  if (failure.code === 'EENVELOPE' || failure.code === 'EMESSAGE') {
    return { kind: 'refused', cause: 'mail_invalid', detail };
  }
  const cause = failure.code === 'ETIMEDOUT' || failure.code === 'EABORT' ? 'smtp_timeout' : 'smtp_cut_off';
  return { kind: 'unclear', cause, detail };
}

function replyOf(failure: SmtpFailure): number | undefined {
  return typeof failure.responseCode === 'number' ? failure.responseCode : undefined;
}

function enhancedOf(failure: SmtpFailure): string | undefined {
  return typeof failure.response === 'string'
    ? /^\d{3}[ -]([245]\.\d{1,3}\.\d{1,3})\b/.exec(failure.response)?.[1]
    : '';
}

function isTransient(reply: number | undefined): boolean {
  return reply !== undefined && reply >= 400 && reply < 500;
}

// 503, "bad sequence of commands", says that the session was in a wrong state, not that the mail was refused.
function isPermanent(reply: number | undefined): boolean {
  return reply !== undefined && reply >= 500 && reply < 600 && reply !== 503;
}

function detailOf(failure: SmtpFailure): string {
  const text = typeof failure.response === 'string' ? failure.response : failure.message;
  return withoutAddresses(String(text ?? '').replaceAll(/\s+/g, ' ')).slice(0, 300);
}
