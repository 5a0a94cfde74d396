// What a person wants, out of their words. Plain patterns: they can be read, tested and explained, and what they do not
// know is answered with what they do. Pure.

export type Intent =
  | { readonly kind: 'news' | 'approvals' | 'help' | 'hello' | 'thanks' | 'settings' }
  | { readonly kind: 'why'; readonly about: string }
  /** `what` as the person named it; '' for everything. `until` is what they said about the time, or ''. */
  | { readonly kind: 'mute'; readonly what: string; readonly until: string }
  | { readonly kind: 'unmute'; readonly what: string }
  | { readonly kind: 'unknown' };

const EVERYTHING = /^(?:everything|all|all of it|notifications|notices|it all|me)?$/;
const TIME = /\s+((?:until|till|for)\s+.+|today|tonight)$/;

const patterns: readonly (readonly [RegExp, (match: RegExpExecArray) => Intent])[] = [
  [/^(?:un-?mute|stop muting|turn on)\b\s*(.*)$/, ([, what]) => ({ kind: 'unmute', what: thing(what!) })],
  [/^(?:please )?(?:mute|silence|snooze|turn off|quiet|stop)\b\s*(.*)$/, ([, rest]) => mute(rest!)],
  [/\bwhy\b(.*)$/, ([, about]) => ({ kind: 'why', about: about!.trim() })],
  [/\b(?:approvals?|approve|pending|waiting for me|to decide|my decisions|requests?)\b/, () => ({ kind: 'approvals' })],
  [/\b(?:preferences|settings|muted|what do i get)\b/, () => ({ kind: 'settings' })],
  [
    /\b(?:what(?:'s|’s| is)? new|news|unread|what did i miss|inbox|notices|notifications|catch me up|anything new)\b/,
    () => ({ kind: 'news' }),
  ],
  [/\b(?:help|what can you do|commands)\b|^\?$/, () => ({ kind: 'help' })],
  [/^(?:hi|hello|hey|good (?:morning|afternoon|evening)|hallo|moin)\b/, () => ({ kind: 'hello' })],
  [/^(?:thanks|thank you|thx|danke|great|ok|okay|cool)\b/, () => ({ kind: 'thanks' })],
];

export function readIntent(words: string): Intent {
  const text = words
    .slice(0, 500)
    .replaceAll(/<at>.*?<\/at>/g, '') // how Teams writes a mention
    .trim()
    .toLowerCase()
    .replaceAll(/\s+/g, ' ')
    .replace(/[.!]+$/, '');
  for (const [pattern, make] of patterns) {
    const match = pattern.exec(text);
    if (match) return make(match);
  }
  return { kind: 'unknown' };
}

function mute(rest: string): Intent {
  const text = ` ${rest.trim()}`;
  const [, until = ''] = TIME.exec(text) ?? [];
  return { kind: 'mute', what: thing(text.replace(TIME, '')), until };
}

/** `hr`, out of `the hr notices`. */
function thing(words: string): string {
  const bare = words
    .trim()
    .replace(/^(?:the|my|all)\s+(?=\S)/, '')
    .replace(/\s+(?:notices|notifications|messages|category|topic)$/, '')
    .replace(/[?"'“”]/g, '')
    .trim();
  return EVERYTHING.test(bare) ? '' : bare;
}
