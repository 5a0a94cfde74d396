// The one page that the server writes for a person itself: their sign-in link does not work any more.
import type { Reply } from './app.ts';
import { pageHeaders } from './browser.ts';

const HTML = `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark">
<title>Sign-in link used</title><link rel="stylesheet" href="/docs/style.css"></head>
<body><main><h1>This link does not work any more</h1>
<p>A sign-in link works once, for 15 minutes. Ask for a new one where you got this one.</p>
<p>Whoever runs the server makes one with <code>carillon sign-in</code>, or by <a href="/docs#createSignInLink">the API</a>.</p>
<p>If you are signed in already, go on to <a href="/me">your inbox</a> or <a href="/">the dashboard</a>.</p></main></body>
</html>
`;

export function linkSpentPage(reply: Reply) {
  return reply
    .code(410)
    .headers(pageHeaders)
    .header('cache-control', 'no-store')
    .header('content-type', 'text/html; charset=utf-8')
    .serializer(String)
    .send(HTML);
}
