// A letter: what a mail says and to whom, before it is rendered. The room does not look it up itself: whoever wires the
// program hands in a function, because notices and recipients belong to other rooms.
import type { Card } from '../kit/card.ts';

export type Letter = {
  readonly card: Card;
  readonly category: string;
  /** The category's name for people; the category itself if absent. */
  readonly categoryTitle?: string | undefined;
  readonly recipientId: string;
  readonly recipientName?: string | undefined;
  /** BCP 47, for the language and direction of the text. */
  readonly locale?: string | undefined;
  readonly noticeId: string;
  /** How the card can be answered from the mail: by action id the path of a page, under the public address. */
  readonly answers?: ReadonlyMap<string, string> | undefined;
  /** What was decided before the mail was made: there is nothing to answer any more. */
  readonly settled?: string | undefined;
  /** A mandatory notification has no unsubscribe link, because it cannot be switched off. */
  readonly mandatory?: boolean | undefined;
};

/** How mails look and who they say they are from. */
export type Brand = {
  readonly name: string;
  /** `#rrggbb` with enough contrast to white text (4.5:1 by WCAG). */
  readonly color: string;
};

/** Where the links of a mail lead. `unsubscribe` is absent where it cannot be done. */
export type LetterLinks = {
  readonly notice: string;
  readonly preferences: string;
  readonly unsubscribe: string | undefined;
  /** By action id. Where there is none, answers are given in the inbox. */
  readonly answers?: ReadonlyMap<string, string> | undefined;
};

export const defaultBrand: Brand = { name: 'Carillon', color: '#0f5b78' };

// Controls, and the characters that turn the direction of text around: a title could show as something it is not.
const DECEPTIVE = /[\p{Cc}\u202a-\u202e\u2066-\u2069]/gu;

/** One line without controls and direction tricks, for a subject or a label. */
export function oneLine(text: string, length = 200): string {
  const line = text.replaceAll(DECEPTIVE, ' ').replaceAll(/\s+/g, ' ').trim();
  return line.length <= length
    ? line
    : `${line
        .slice(0, length - 1)
        .toWellFormed()
        .replace(/\ufffd$/, '')}…`;
}

/** Text of several lines, cleaned line by line. */
export function lines(text: string): string[] {
  return text.split(/\r\n|\r|\n/).map((line) => line.replaceAll(DECEPTIVE, ' ').trimEnd());
}

/** Paragraphs of lines: a blank line ends one. */
export function paragraphs(text: string): string[][] {
  const found: string[][] = [[]];
  for (const line of lines(text)) {
    if (line.trim() !== '') found.at(-1)!.push(line);
    else if (found.at(-1)!.length > 0) found.push([]);
  }
  return found.filter((paragraph) => paragraph.length > 0);
}
