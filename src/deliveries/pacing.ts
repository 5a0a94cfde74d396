// Pacing by endpoint domain: so many per second to each mail domain or push host. A claimed delivery whose domain has no
// token is not held in memory, where a big sender's backlog would crowd out everyone else: it is given back with a due
// time of its own, one slot behind the last one, so that each is given back about once and not again and again.
import { type Rate, TokenBucket } from '../kit/token-bucket.ts';

type Domain = { readonly bucket: TokenBucket; nextSlot: number };

/** Domains remembered at most; the longest unused one is forgotten, which at worst lets one burst more through. */
const DOMAINS = 10_000;

export class DomainPacer {
  readonly #rate: Rate;
  readonly #domains = new Map<string, Domain>();

  constructor(rate: Rate) {
    this.#rate = rate;
  }

  /** Undefined: send it now (and the token is taken). Else the time, in milliseconds, to come back at. */
  admit(endpoint: string | null, now: number): number | undefined {
    const name = domainOf(endpoint);
    if (name === undefined) return undefined;
    const domain = this.#domain(name, now);
    if (domain.bucket.take(1, now)) return undefined;
    const slot = Math.max(domain.nextSlot, now + domain.bucket.readyInMs(1, now));
    domain.nextSlot = slot + 1000 / this.#rate.ratePerSecond;
    return slot;
  }

  #domain(name: string, now: number): Domain {
    const known = this.#domains.get(name) ?? { bucket: new TokenBucket(this.#rate, now), nextSlot: 0 };
    this.#domains.delete(name); // re-inserted at the end: a Map keeps insertion order
    this.#domains.set(name, known);
    if (this.#domains.size > DOMAINS) this.#domains.delete(this.#domains.keys().next().value!);
    return known;
  }
}

/** The part of an endpoint that a provider would see as one customer: a mail address's domain, a URL's host. */
export function domainOf(endpoint: string | null): string | undefined {
  if (endpoint === null) return undefined;
  if (URL.canParse(endpoint) && endpoint.includes('://')) return new URL(endpoint).host;
  const at = endpoint.lastIndexOf('@');
  return at < 0 ? undefined : endpoint.slice(at + 1).toLowerCase();
}
