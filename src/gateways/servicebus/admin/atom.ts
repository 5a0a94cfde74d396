// Atom entries and feeds around descriptions. Clients take names from the path of an entry's id, and read the link to the
// next page only where there are two links.
import { escapeXml, tag, textTag } from '../../../kit/xml.ts';

export type Place = {
  /** `https://host:port` as the client reached us. */
  readonly origin: string;
  readonly apiVersion: string;
};

export type Entry = {
  /** The path with its names as they are, such as `topic/Subscriptions/name`. */
  readonly path: string;
  readonly title: string;
  readonly createdAt: Date;
  readonly updatedAt: Date;
  readonly content: string;
};

const ATOM = 'xmlns="http://www.w3.org/2005/Atom"';

export function printEntry(place: Place, entry: Entry, inFeed = false): string {
  const address = hrefOf(place, entry.path);
  const parts = [
    textTag('id', address),
    `<title type="text">${escapeXml(entry.title)}</title>`,
    textTag('published', entry.createdAt.toISOString()),
    textTag('updated', entry.updatedAt.toISOString()),
    '<author><name>carillon</name></author>',
    `<link rel="self" href="${escapeXml(address)}"/>`,
    tag('content', entry.content, 'type="application/xml"'),
  ];
  return tag('entry', parts.join(''), inFeed ? '' : ATOM);
}

export type Page = { readonly skip: number; readonly top: number; readonly more: boolean };

export function printFeed(place: Place, path: string, title: string, entries: readonly Entry[], page: Page): string {
  const self = hrefOf(place, path);
  const next = `${self}&$skip=${page.skip + page.top}&$top=${page.top}`;
  const parts = [
    `<title type="text">${escapeXml(title)}</title>`,
    textTag('id', self),
    textTag('updated', new Date().toISOString()),
    `<link rel="self" href="${escapeXml(self)}"/>`,
    page.more ? `<link rel="next" href="${escapeXml(next)}"/>` : '',
    ...entries.map((entry) => printEntry(place, entry, true)),
  ];
  return tag('feed', parts.join(''), ATOM);
}

function hrefOf({ origin, apiVersion }: Place, path: string): string {
  const encoded = path.split('/').map(encodeURIComponent).join('/').replaceAll('%24', '$');
  return `${origin}/${encoded}?api-version=${encodeURIComponent(apiVersion)}`;
}
