// A gateway may keep its wire form as a message's body (`bodyFormat`), so that its own clients get back every byte. Who
// reads such a message as an event needs the content within; the program's wiring says how, once, before anybody reads.
import { Refusal } from '../kit/refusal.ts';
import type { Message } from '../topics/message.ts';

type Decode = (body: Uint8Array) => Uint8Array;

const formats = new Map<string, Decode>();

export function registerBodyFormat(format: string, decode: Decode): void {
  formats.set(format, decode);
}

/** The content as its sender meant it. Refuses with `event_invalid` a form that nobody can read. */
export function plainBody({ body, bodyFormat }: Pick<Message, 'body' | 'bodyFormat'>): Uint8Array {
  if (bodyFormat === undefined) return body;
  const decode = formats.get(bodyFormat);
  if (!decode) throw new Refusal('event_invalid', `The body is in the form "${bodyFormat}", which is not known here.`);
  return decode(body);
}
