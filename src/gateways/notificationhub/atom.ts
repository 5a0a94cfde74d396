// Atom as the hub's clients read it: an entry around each description, a feed around entries.

import { tag, textTag } from '../../kit/xml.ts';

export const entryType = 'application/atom+xml;type=entry;charset=utf-8';
export const feedType = 'application/atom+xml;type=feed;charset=utf-8';
const namespace = 'xmlns="http://www.w3.org/2005/Atom"';

export type Entry = {
  /** Its address. */
  readonly id: string;
  readonly title: string;
  readonly from: Date;
  readonly to: Date;
  /** XML. */
  readonly content: string;
  readonly etag?: number;
};

export function atomEntry({ id, title, from, to, content, etag }: Entry): string {
  const parts = [
    textTag('id', id),
    `<title type="text">${escaped(title)}</title>`,
    textTag('published', from.toISOString()),
    textTag('updated', to.toISOString()),
    `<link rel="self" href="${escaped(id)}"/>`,
    tag('content', content, 'type="application/xml"'),
  ];
  const metadata =
    etag === undefined
      ? ''
      : ` xmlns:m="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata" m:etag="W/&quot;${etag}&quot;"`;
  return tag('entry', parts.join(''), namespace + metadata);
}

export function atomFeed(title: string, id: string, entries: readonly string[]): string {
  const head = `<title type="text">${title}</title>${textTag('id', id)}${textTag('updated', new Date().toISOString())}`;
  return tag('feed', `${head}<link rel="self" href="${escaped(id)}"/>${entries.join('')}`, namespace);
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');
}
