// The content of a message that a client of this door has sent, for those who do not speak AMQP.
import { contentOf, splitSections } from './sections.ts';

export function contentOfAmqp(body: Uint8Array): Uint8Array {
  return contentOf(splitSections(Buffer.from(body.buffer, body.byteOffset, body.byteLength)));
}
