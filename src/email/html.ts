// The HTML of a mail. Mail clients are not browsers: tables for the layout (with role=presentation, so that screen
// readers do not read them as tables), all styles inline, no images, no fonts and no scripts to fetch. Dark clients get
// their colours by a media query; those that ignore it show the light ones. A card's language need not be the reader's, so
// each of its texts finds its own direction, isolated from ours. Every text of a card is escaped here, and
// only http(s) addresses become links.
import { type Brand, type Letter, type LetterLinks, lines, oneLine, paragraphs } from './letter.ts';

const FONT = "font-family:'Segoe UI',-apple-system,BlinkMacSystemFont,Roboto,'Helvetica Neue',Arial,sans-serif;";
const RIGHT_TO_LEFT = /^(ar|dv|fa|he|ku-arab|ps|sd|ug|ur|yi)\b/i;

export function renderHtml(letter: Letter, links: LetterLinks, brand: Brand): string {
  const { card, locale } = letter;
  const direction = RIGHT_TO_LEFT.test(locale ?? '') ? 'rtl' : 'ltr';
  const body = [title(card.title), ...text(card.body), facts(letter), buttons(letter, links, brand)].join('');
  return `<!doctype html>
<html lang="${escapeHtml(locale ?? 'en')}" dir="${direction}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="supported-color-schemes" content="light dark">
<title>${escapeHtml(oneLine(card.title))}</title>
<style>${DARK}</style>
</head>
<body class="page" style="margin:0;padding:0;background:#f3f4f6;">
${preview(card.body)}
<table role="presentation" width="100%" cellpadding="0" cellspacing="0" border="0" class="page" style="background:#f3f4f6;">
<tr><td align="center" style="padding:24px 12px;">
<table role="presentation" width="100%" cellpadding="0" cellspacing="0" border="0" style="max-width:600px;">
<tr><td class="quiet" style="${FONT}font-size:14px;line-height:20px;font-weight:600;color:#4b5563;padding:0 4px 12px;">
<span class="brand" style="color:${colorOf(brand)};">${escapeHtml(brand.name)}</span> · <bdi>${escapeHtml(categoryOf(letter))}</bdi></td></tr>
<tr><td class="card" style="${FONT}background:#ffffff;border:1px solid #e5e7eb;border-top:4px solid ${colorOf(brand)};border-radius:8px;padding:28px 28px 24px;word-break:break-word;overflow-wrap:anywhere;">
${body}</td></tr>
<tr><td class="quiet" style="${FONT}font-size:13px;line-height:20px;color:#4b5563;padding:16px 4px 0;text-align:${direction === 'rtl' ? 'right' : 'left'};" lang="en" dir="ltr">${footer(letter, links, brand)}</td></tr>
</table>
</td></tr>
</table>
</body>
</html>
`;
}

const DARK = `
@media (prefers-color-scheme:dark){
.page{background:#111418!important}
.card{background:#1b2027!important;border-color:#7cc7e3 #323a45 #323a45!important}
.ink,.ink a{color:#f1f3f5!important}
.quiet,.quiet a{color:#a9b2bd!important}
.line{border-color:#323a45!important}
.brand{color:#7cc7e3!important}
.second{color:#cfe9f4!important;border-color:#7cc7e3!important}
}
@media (max-width:480px){.card{padding:22px 18px 18px!important}}
`;

// What a list of mails shows beside the subject. Hidden in the mail itself, also from screen readers.
function preview(body: string | undefined): string {
  const first = oneLine(body ?? '', 140);
  if (first === '') return '';
  const style = 'display:none;max-height:0;max-width:0;overflow:hidden;opacity:0;mso-hide:all;';
  return `<div aria-hidden="true" style="${style}">${escapeHtml(first)}</div>`;
}

function title(value: string): string {
  const style = `${FONT}margin:0;font-size:22px;line-height:29px;font-weight:600;color:#111827;`;
  return `<h1 class="ink" dir="auto" style="${style}">${escapeHtml(oneLine(value, 250))}</h1>\n`;
}

function text(body: string | undefined): string[] {
  const style = `${FONT}margin:14px 0 0;font-size:16px;line-height:25px;color:#1f2937;`;
  return paragraphs(body ?? '').map(
    (each) => `<p class="ink" dir="auto" style="${style}">${each.map(escapeHtml).join('<br>\n')}</p>\n`,
  );
}

function facts({ card }: Letter): string {
  if (!card.facts?.length) return '';
  const rows = card.facts.map(({ label, value }, i) => {
    const border = i === 0 ? '' : 'border-top:1px solid #e5e7eb;';
    const cell = `${FONT}${border}font-size:15px;line-height:22px;padding:8px 0;text-align:start;vertical-align:top;`;
    const shown = lines(value).map(escapeHtml).join('<br>\n');
    return `<tr><th scope="row" class="quiet line" width="36%" style="${cell}padding-inline-end:16px;font-weight:400;color:#4b5563;"><bdi>${escapeHtml(oneLine(label))}</bdi></th>
<td class="ink line" style="${cell}color:#111827;font-weight:600;"><bdi>${shown}</bdi></td></tr>`;
  });
  return `<table width="100%" cellpadding="0" cellspacing="0" border="0" style="margin:18px 0 0;border-collapse:collapse;">
${rows.join('\n')}
</table>\n`;
}

/** Answers lead to a page with a button, never to the answer itself: scanners follow the links of mails. */
function buttons(letter: Letter, links: LetterLinks, brand: Brand): string {
  const { card, settled } = letter;
  const answers = settled === undefined ? answerButtons(letter, links, brand) : [];
  const isFirst = answers.length === 0;
  const link =
    card.link && isHttp(card.link.url) ? [button(oneLine(card.link.label), card.link.url, brand, isFirst)] : [];
  const shown = [...answers, ...link];
  const buttons = shown.length === 0 ? '' : `<div style="margin:14px -5px 0;">${shown.join('\n')}</div>\n`;
  return settled === undefined ? buttons : `${text(settled).join('')}${buttons}`;
}

/** One for each action; one for all of them where answers are given in the inbox. */
function answerButtons({ card: { actions = [] } }: Letter, links: LetterLinks, brand: Brand): string[] {
  if (actions.length === 0) return [];
  const { answers } = links;
  if (!answers) {
    const asked = actions.map((action) => oneLine(action.label)).join(' / ');
    return [button(`Answer: \u2068${asked}\u2069`, links.notice, brand, true)];
  }
  return actions.map(({ id, label, style }, i) => {
    const first = style === 'primary' || (i === 0 && !actions.some((action) => action.style === 'primary'));
    return button(oneLine(label), answers.get(id) ?? links.notice, brand, first);
  });
}

function button(label: string, url: string, brand: Brand, first: boolean): string {
  const color = colorOf(brand);
  const look = first ? `background:${color};color:#ffffff;` : `color:${color};`;
  const style = `${FONT}display:inline-block;margin:10px 5px 0;padding:11px 20px;border:1px solid ${color};border-radius:6px;font-size:15px;line-height:20px;font-weight:600;text-decoration:none;${look}`;
  return `<a href="${escapeHtml(url)}"${first ? '' : ' class="second"'} style="${style}">${escapeHtml(label)}</a>`;
}

function footer(letter: Letter, links: LetterLinks, brand: Brand): string {
  const link = (url: string, label: string) =>
    `<a href="${escapeHtml(url)}" style="color:#4b5563;text-decoration:underline;">${label}</a>`;
  const ways = [
    link(links.notice, 'Open in your inbox'),
    link(links.preferences, 'Choose what you get'),
    ...(links.unsubscribe ? [link(links.unsubscribe, 'Unsubscribe')] : []),
  ];
  return `${escapeHtml(brand.name)} sends you notifications of “<bdi>${escapeHtml(categoryOf(letter))}</bdi>” by email.<br>
${ways.join(' &nbsp;·&nbsp; ')}`;
}

function categoryOf(letter: Letter): string {
  return oneLine(letter.categoryTitle ?? letter.category);
}

function colorOf(brand: Brand): string {
  return /^#[0-9a-f]{6}$/i.test(brand.color) ? brand.color : '#0f5b78';
}

function isHttp(url: string): boolean {
  const protocol = URL.parse(url)?.protocol;
  return protocol === 'https:' || protocol === 'http:';
}

/** For text and for attribute values in double quotes. */
export function escapeHtml(value: string): string {
  return value.replaceAll(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
