// The plain text of a mail: for those who read mail as text, for watches, and for spam filters that distrust HTML alone.
import { type Brand, type Letter, type LetterLinks, lines, oneLine } from './letter.ts';

export function renderText(letter: Letter, links: LetterLinks, brand: Brand): string {
  const { card } = letter;
  const title = oneLine(card.title);
  const facts = (card.facts ?? []).map((fact) => `${oneLine(fact.label)}: ${lines(fact.value).join('\n  ')}`);
  const parts = [
    `${title}\n${'='.repeat(Math.min(title.length, 72))}`,
    lines(card.body ?? '')
      .join('\n')
      .trim(),
    facts.join('\n'),
    card.link ? `${oneLine(card.link.label)}:\n${card.link.url}` : '',
    answerText(letter, links),
    footerText(letter, links, brand),
  ];
  return `${parts.filter((part) => part !== '').join('\n\n')}\n`;
}

function answerText({ card, settled }: Letter, links: LetterLinks): string {
  if (settled !== undefined) return oneLine(settled);
  if (!card.actions?.length) return '';
  if (links.answers) {
    const ways = card.actions.map(({ id, label }) => `${oneLine(label)}:\n${links.answers?.get(id) ?? links.notice}`);
    return `Your answer is asked for. Each link shows a page with a button; nothing happens before you press it.\n\n${ways.join('\n\n')}`;
  }
  const choices = card.actions.map((action) => oneLine(action.label)).join(' / ');
  return `Your answer is asked for (${choices}):\n${links.notice}`;
}

function footerText(letter: Letter, links: LetterLinks, brand: Brand): string {
  const category = oneLine(letter.categoryTitle ?? letter.category);
  return [
    '-- ',
    `${brand.name} sends you notifications of “${category}” by email.`,
    `Open it: ${links.notice}`,
    `Choose what you get: ${links.preferences}`,
    ...(links.unsubscribe ? [`No more mails of this kind: ${links.unsubscribe}`] : []),
  ].join('\n');
}
