// How much an Adaptive Card of an author may be, and where its images may come from.
import { Refusal } from '../../kit/refusal.ts';

export type CardPolicy = {
  /** As JSON in UTF-8. */
  readonly maxBytes: number;
  /** Containers, columns, tables and cards within each other. */
  readonly maxDepth: number;
  /** Buttons that do something, wherever they are; what only shows a card does not count. */
  readonly maxActions: number;
  readonly maxInputs: number;
  /** `https`: from anywhere. A list: from these origins. `embedded`: only what is in the card itself (`data:`). */
  readonly images: 'https' | 'embedded' | readonly string[];
};

export const defaultPolicy: CardPolicy = {
  maxBytes: 24 * 1024,
  maxDepth: 12,
  maxActions: 6,
  maxInputs: 20,
  images: 'https',
};

const HIGHEST: Readonly<Record<string, number>> = { maxBytes: 64 * 1024, maxDepth: 32, maxActions: 20, maxInputs: 50 };

/** The section `cards` of the config file. Throws `invalid_setting`. */
export function readPolicy(given: unknown): CardPolicy {
  if (given === undefined) return defaultPolicy;
  if (typeof given !== 'object' || given === null || Array.isArray(given)) throw invalid('must be an object');
  for (const [name, value] of Object.entries(given)) {
    if (name === 'images') checkImages(value);
    else if (!(name in HIGHEST)) throw invalid(`has no ${name}; there are ${Object.keys(defaultPolicy).join(', ')}`);
    else if (!Number.isInteger(value) || value < 1 || value > HIGHEST[name]!)
      throw invalid(`.${name} must be a whole number from 1 to ${HIGHEST[name]}`);
  }
  return { ...defaultPolicy, ...given };
}

function checkImages(value: unknown): void {
  const ok = value === 'https' || value === 'embedded' || (Array.isArray(value) && value.every(isOrigin));
  if (!ok) throw invalid(".images must be 'https', 'embedded' or a list of origins such as https://images.example.com");
}

function isOrigin(value: unknown): boolean {
  return typeof value === 'string' && URL.parse(value)?.origin === value && value.startsWith('https://');
}

function invalid(what: string): Refusal {
  return new Refusal('invalid_setting', `cards${what.startsWith('.') ? what : ` ${what}`}.`);
}
