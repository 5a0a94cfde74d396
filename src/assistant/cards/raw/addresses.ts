// Addresses in cards: what a person's click or a renderer's fetch may go to. What comes back is the address as the URL
// parser writes it, so that nothing is left in it that another parser could read in another way.
const LINKS = new Set(['http:', 'https:', 'mailto:', 'tel:']);
const EMBEDDED = /^data:image\/(png|jpeg|gif);base64,[A-Za-z0-9+/]+={0,2}$/;

/** Undefined unless `text` is an absolute http, https, mailto or tel address without credentials. */
export function safeLink(text: string): string | undefined {
  const url = URL.parse(text.trim());
  if (!url || !LINKS.has(url.protocol) || url.username !== '' || url.password !== '') return undefined;
  return escapeSigns(url.href);
}

/** Where images may come from, see `CardPolicy.images`. SVG is a document with scripts: not as an image in a card. */
export function safeImage(text: string, images: 'https' | 'embedded' | readonly string[]): string | undefined {
  const given = text.trim();
  if (EMBEDDED.test(given)) return given;
  const url = URL.parse(given);
  if (images === 'embedded' || url?.protocol !== 'https:' || url.username !== '' || url.password !== '')
    return undefined;
  return images === 'https' || images.includes(url.origin) ? escapeSigns(url.href) : undefined;
}

export function safeMedia(text: string): string | undefined {
  const url = URL.parse(text.trim());
  return url?.protocol === 'https:' && url.username === '' && url.password === '' ? escapeSigns(url.href) : undefined;
}

/** Signs that could end an attribute or a Markdown link; `mailto:` and fragments may still hold them. */
function escapeSigns(href: string): string {
  return href.replace(/["'<>()`\\]/g, (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`);
}
