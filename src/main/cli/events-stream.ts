// Server-sent events (WHATWG HTML, 9.2.6), as a client reads them.

export type ServerEvent = { readonly event: string; readonly id: string | undefined; readonly data: string };

/** The events of an open response, until it ends. */
export async function* serverEvents(response: Response): AsyncGenerator<ServerEvent> {
  let rest = '';
  for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
    const blocks = (rest + chunk).split(/\r?\n\r?\n/);
    rest = blocks.pop()!;
    for (const block of blocks) {
      const event = parseEvent(block);
      if (event) yield event;
    }
  }
}

function parseEvent(block: string): ServerEvent | undefined {
  const fields = new Map<string, string[]>();
  for (const line of block.split(/\r?\n/)) {
    const [, name, value] = /^([^:]+): ?(.*)$/.exec(line) ?? [];
    if (name !== undefined) fields.set(name, [...(fields.get(name) ?? []), value!]);
  }
  const data = fields.get('data');
  return (
    data && { event: fields.get('event')?.at(-1) ?? 'message', id: fields.get('id')?.at(-1), data: data.join('\n') }
  );
}
