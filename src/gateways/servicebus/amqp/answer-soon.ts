// Says something soon after a client did, if only an empty frame. The clients leave Nagle's algorithm on: what they write
// waits until we have acknowledged what they wrote before, and a system that has nothing to send back puts that off for
// 40 ms. So a flow, which asks for no answer, held up the message that was sent 10 ms later, and every new link.
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { WireConnection } from './link.ts';

const WITHIN_MS = 3;
/** What only says that the connection lives is not answered: two that do as we do would never come to rest. */
const EMPTY_FRAME_BYTES = 8;

type Speaking = Pick<WireConnection, 'is_open'> & { _write_frame(): void };

export function answerSoon(socket: Duplex, connection: Speaking): void {
  if (!(socket instanceof Socket)) return;
  let timer: NodeJS.Timeout | undefined;
  /** What we had written when the client last said something. */
  let written = 0;
  let more = false;
  const look = () => {
    timer = more ? setTimeout(look, WITHIN_MS) : undefined;
    if (!more && socket.bytesWritten === written && connection.is_open()) connection._write_frame();
    more = false;
  };
  socket.on('data', (bytes: Buffer) => {
    if (bytes.length <= EMPTY_FRAME_BYTES) return;
    written = socket.bytesWritten;
    if (timer) more = true;
    else timer = setTimeout(look, WITHIN_MS);
  });
  socket.once('close', () => clearTimeout(timer));
}
