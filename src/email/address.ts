// Mail addresses. The mail server has the last word on whether a mailbox exists; this keeps out what could never be
// delivered, and what would mean something else inside a header or an SMTP command.
import { domainToASCII } from 'node:url';

// RFC 5322 dot-atom; RFC 6532 lets letters beyond ASCII in. No quoted local parts: nobody has one, injections do.
const LOCAL = /^[\p{L}\p{N}!#$%&'*+/=?^_`{|}~-]+(\.[\p{L}\p{N}!#$%&'*+/=?^_`{|}~-]+)*$/u;
const LABEL = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/i;

/** Whether mail could be sent to `text`: `local@domain` within the lengths of RFC 5321 section 4.5.3.1. */
export function isMailAddress(text: string): boolean {
  const at = text.lastIndexOf('@');
  const local = text.slice(0, at);
  const domain = domainToASCII(text.slice(at + 1));
  if (at < 1 || domain === '' || Buffer.byteLength(text) > 254 || Buffer.byteLength(local) > 64) return false;
  return LOCAL.test(local) && domain.split('.').every((label) => LABEL.test(label));
}

/** The address in `Name <address>`, or the text itself. */
export function bareAddress(text: string): string {
  return /<([^<>]*)>\s*$/.exec(text)?.[1] ?? text.trim();
}

/** `text` with everything that looks like an address taken out: servers repeat addresses in their replies. */
export function withoutAddresses(text: string): string {
  return text.replace(/<?[^\s<>@]+@[^\s<>@]+>?/g, '<address>');
}
