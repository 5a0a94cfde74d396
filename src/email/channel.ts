// The mail channel: SMTP over a pool of kept connections. What the server answers becomes an outcome; where it does not
// answer, a fresh connection tells whether the server is away (the lane pauses) or only this mail fails (it is retried).
import nodemailer from 'nodemailer';
import type { Channel, ClaimedDelivery, Outcome } from '../deliveries/channel.ts';
import type { LanePolicy } from '../deliveries/policy.ts';
import { isMailAddress } from './address.ts';
import { type Brand, defaultBrand, type Letter } from './letter.ts';
import { type MailSettings, mailOf } from './mail.ts';
import { connectOutcome, type SmtpFailure, smtpOutcome } from './smtp-outcome.ts';
import type { UnsubscribeKeys } from './unsubscribe.ts';

export type EmailOptions = {
  /** `smtp://[user:password@]host[:port]` or `smtps://...`; nodemailer's query options work (`?tls.servername=...`). */
  readonly smtpUrl: string;
  /** `Name <address>` or an address; the domain becomes that of the Message-IDs. */
  readonly from: string;
  /** Where recipients reach this server, without a slash at the end. */
  readonly publicUrl: string;
  readonly unsubscribeKeys: UnsubscribeKeys;
  /** Looks up what to say, by delivery id, in one go. A delivery without a letter is refused. */
  readonly letters: (deliveries: readonly ClaimedDelivery[]) => Promise<ReadonlyMap<string, Letter>>;
  readonly brand?: Brand;
  /** SMTP connections kept at most; 5. */
  readonly maxConnections?: number;
  /** For connecting and for the greeting, in milliseconds; 10 s. */
  readonly connectTimeoutMs?: number;
  /** For one mail from begin to end, in milliseconds; 2 min (RFC 5321 section 4.5.3.2 allows servers to be slow). */
  readonly sendTimeoutMs?: number;
  /** Signs mails where the relay does not (DKIM, RFC 6376). */
  readonly dkim?: { readonly domainName: string; readonly keySelector: string; readonly privateKey: string };
};

/**
 * The lane of a mail channel. One mail per call: each is settled as soon as the server has taken it, so that a crash can
 * repeat only those that were being sent at that moment.
 */
export const emailPolicy: Partial<LanePolicy> = { batchSize: 1, concurrency: 10 };

type Transport = ReturnType<typeof transportOf>;

export class EmailChannel implements Channel {
  readonly name = 'email';
  readonly #options: EmailOptions;
  readonly #settings: MailSettings;
  readonly #transport: Transport;
  #check: Promise<Outcome | undefined> | undefined;

  constructor(options: EmailOptions) {
    this.#options = options;
    this.#settings = { brand: defaultBrand, ...options };
    this.#transport = transportOf(options);
  }

  async deliver(batch: readonly ClaimedDelivery[]): Promise<Outcome[]> {
    const letters = await this.#options.letters(batch);
    return Promise.all(batch.map((delivery) => this.#send(delivery, letters.get(delivery.id))));
  }

  /** Whether the server takes us now: undefined if so, else why not. */
  async check(): Promise<Outcome | undefined> {
    this.#check ??= this.#connect().finally(() => {
      this.#check = undefined;
    });
    return this.#check;
  }

  /** Closes the connections. Stop the dispatcher first: a mail that is being sent fails. */
  stop(): void {
    this.#transport.close();
  }

  async #send(delivery: ClaimedDelivery, letter: Letter | undefined): Promise<Outcome> {
    if (!letter) return { kind: 'refused', cause: 'notice_missing', detail: 'The notice no longer exists.' };
    const address = delivery.endpoint ?? '';
    if (!isMailAddress(address)) {
      return { kind: 'refused', cause: 'address_invalid', detail: 'The recipient has no valid mail address.' };
    }
    const signal = AbortSignal.timeout(this.#options.sendTimeoutMs ?? 120_000);
    try {
      const info = await this.#transport.sendMail({ ...mailOf(delivery, address, letter, this.#settings), signal });
      return { kind: 'delivered', providerId: info.response };
    } catch (error) {
      return this.#outcomeOf(error as SmtpFailure); // every field of it is optional and unknown
    }
  }

  async #outcomeOf(failure: SmtpFailure): Promise<Outcome> {
    const outcome = smtpOutcome(failure);
    if (outcome.kind !== 'unclear') return outcome;
    const { cause, detail } = outcome;
    return (await this.check()) ?? { kind: 'retry', cause, detail, retryAfterMs: undefined };
  }

  async #connect(): Promise<Outcome | undefined> {
    try {
      await this.#transport.verify();
      return undefined;
    } catch (error) {
      return connectOutcome(error as SmtpFailure); // as above
    }
  }
}

/** A mail channel for the dispatcher; run its lane with {@link emailPolicy}. */
export function emailChannel(options: EmailOptions): EmailChannel {
  return new EmailChannel(options);
}

function transportOf(options: EmailOptions) {
  const timeout = options.connectTimeoutMs ?? 10_000;
  return nodemailer.createTransport({
    url: options.smtpUrl,
    pool: true,
    maxConnections: options.maxConnections ?? 5,
    maxMessages: 1_000,
    // The dispatcher repeats, not the pool: only it knows the limits. One is for a kept connection that had gone stale.
    maxRequeues: 1,
    connectionTimeout: timeout,
    greetingTimeout: timeout,
    dnsTimeout: timeout,
    socketTimeout: options.sendTimeoutMs ?? 120_000,
    disableFileAccess: true,
    disableUrlAccess: true,
    ...(options.dkim && { dkim: options.dkim }),
  });
}
