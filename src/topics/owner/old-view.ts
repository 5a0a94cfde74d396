// What is older than a subscription: its bit in the log says nothing about that, so its rules of today are asked.
import type { SubscriptionEntry } from '../entities/catalogue.ts';
import type { Rule } from '../entities/rule.ts';
import { hasBit } from '../log/bits.ts';
import type { Block } from '../log/block.ts';
import { type Copy, Matcher } from '../log/matcher.ts';
import type { Message } from '../message.ts';

export class OldView {
  #known: { readonly rules: readonly Rule[]; readonly matcher: Matcher } | undefined;

  /**
   * As it was sent if a rule without action selects it, else as the first rule by name that does changes it. (There is
   * one number for it, so it comes once, whatever rules match.) Undefined: no rule does.
   */
  view(subscription: SubscriptionEntry, block: Block, index: number): Message | undefined {
    if (block.isCopy(index)) return undefined;
    const { rules } = subscription;
    if (this.#known?.rules !== rules) this.#known = { rules, matcher: new Matcher([subscription]) };
    const message = block.message(index);
    const match = this.#known.matcher.match(message);
    if (hasBit(match.bits, subscription.bit)) return message;
    const [copy] = match.copies.toSorted((a, b) => (orderOf(a) < orderOf(b) ? -1 : 1));
    return copy && (copy.fault === undefined ? copy.message : { ...copy.message, filterFault: copy.fault });
  }
}

/** By the name of the rule that made it; what could not be evaluated comes last. */
function orderOf({ message, fault }: Copy<Message>): string {
  return fault === undefined ? `1${message.properties?.RuleName}` : '2';
}
