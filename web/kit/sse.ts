// The event-stream format (HTML standard, section 9.2.6), as far as the server uses it. Pure: text in, frames out.

export type Frame = { readonly event: string; readonly data: string; readonly id: string | undefined };

/** Takes text as it comes off the wire, in pieces of any size; hands back the frames that are complete. */
export class FrameReader {
  #rest = '';

  read(piece: string): Frame[] {
    const blocks = (this.#rest + piece).replaceAll('\r\n', '\n').split('\n\n');
    this.#rest = blocks.pop() ?? '';
    return blocks.map(parseBlock).filter((frame) => frame !== undefined);
  }
}

function parseBlock(block: string): Frame | undefined {
  const fields = block.split('\n').filter((line) => line !== '' && !line.startsWith(':'));
  const all = (name: string) => fields.filter((line) => line.startsWith(`${name}:`)).map((line) => value(line, name));
  if (all('data').length === 0) return undefined; // a comment, or a bare `retry`
  return { event: all('event').at(-1) ?? 'message', data: all('data').join('\n'), id: all('id').at(-1) };
}

function value(line: string, name: string): string {
  const text = line.slice(name.length + 1);
  return text.startsWith(' ') ? text.slice(1) : text;
}
