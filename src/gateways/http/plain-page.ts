// The few pages that the server writes itself, for people who come by a link: no scripts, nobody signed in.
import type { Reply } from './app.ts';
import { pageHeaders } from './browser.ts';

/** `body` is HTML; put what came from outside through `escapeHtml` first. */
export function plainPage(reply: Reply, status: number, title: string, body: string) {
  return reply
    .code(status)
    .headers(pageHeaders)
    .header('cache-control', 'no-store')
    .header('content-type', 'text/html; charset=utf-8')
    .serializer(String)
    .send(`<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark">
<title>${escapeHtml(title)}</title><link rel="stylesheet" href="/docs/style.css"></head>
<body><main><h1>${escapeHtml(title)}</h1>
${body}</main></body>
</html>
`);
}

export function escapeHtml(words: string): string {
  return words.replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);
}
