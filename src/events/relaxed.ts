// The original EventProducer builds its text by hand: `{'userid':'...','message':'...'}`. That is not JSON, but the
// reader of the time took it. Here strings in single quotes become JSON strings, and everything else stays as it is, so
// that the real parser still decides.

/** Rewrites strings in single quotes as JSON strings. Valid JSON comes back unchanged. */
export function relaxedToJson(text: string): string {
  let out = '';
  let at = 0;
  while (at < text.length) {
    const quote = text[at]!;
    if (quote !== "'" && quote !== '"') {
      out += quote;
      at++;
      continue;
    }
    const end = closing(text, at, quote);
    const inner = text.slice(at + 1, end);
    out += quote === '"' ? text.slice(at, end + 1) : `"${requote(inner)}"`;
    at = end + 1;
  }
  return out;
}

function closing(text: string, start: number, quote: string): number {
  for (let at = start + 1; at < text.length; at++) {
    if (text[at] === '\\') at++;
    else if (text[at] === quote) return at;
  }
  return text.length;
}

/** `\'` is no JSON escape, a bare `"` must become one, and a line break inside the text was taken as it stood. */
function requote(inner: string): string {
  return inner.replace(/\\'|\\.|"|[\r\n\t]/gs, (found) => {
    if (found === "\\'") return "'";
    return found.startsWith('\\') ? found : JSON.stringify(found).slice(1, -1);
  });
}
