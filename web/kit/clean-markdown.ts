// Markdown of others as HTML that does no harm: no HTML of theirs, no images (they tell who looked), links of the web only.
import DOMPurify from 'dompurify';
import MarkdownIt from 'markdown-it';

const markdown = new MarkdownIt({ html: false, linkify: false, breaks: true }).disable('image');

const allowed = {
  ALLOWED_TAGS: ['p', 'strong', 'em', 'a', 'ul', 'ol', 'li', 'br', 'code', 'pre', 'blockquote', 'hr'],
  ALLOWED_ATTR: ['href', 'start', 'target', 'rel'],
  ALLOWED_URI_REGEXP: /^(?:https?|mailto|tel):/i,
};

DOMPurify.addHook('afterSanitizeAttributes', (node) => {
  if (node.tagName !== 'A') return;
  node.setAttribute('target', '_blank');
  node.setAttribute('rel', 'noopener noreferrer');
});

export function cleanMarkdown(text: string): string {
  return DOMPurify.sanitize(markdown.render(text), allowed);
}

/** Whether a card's link may be followed: renderers hand on whatever a card says, `javascript:` included. */
export function isSafeAddress(url: string): boolean {
  return ['https:', 'http:', 'mailto:', 'tel:'].includes(URL.parse(url)?.protocol ?? '');
}
