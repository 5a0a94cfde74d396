// How long frames come in: each into a buffer of its own, made once, whose memory is given back as soon as its messages are
// durable. rhea puts the pieces together, with whatever follows them, into buffers that the garbage collector finds some
// day; and V8 looks through its whole heap the sooner the more memory such buffers hold. Part of mend.ts.
import { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { freeMemory, OWN_MEMORY } from '../../../kit/free-memory.ts';
import { Connection } from './rhea-internals.ts';

/** Bytes from which on a frame is worth it. */
const LONG = OWN_MEMORY;

type Reading = {
  readonly socket: unknown;
  /** The size of the frame that is waited for; undefined or null: of none. */
  frame_size?: number | null | undefined;
  received_bytes?: number;
  chunks?: Buffer[] | null;
  heartbeat_in?: NodeJS.Timeout;
  readonly saved_error?: unknown;
};

type Waiting = { readonly frame: Buffer; filled: number };

const waiting = new WeakMap<Reading, Waiting>();
/** Memory that holds one frame and nothing else. */
const ofOneFrame = new WeakSet<object>();

export function mendReading(): void {
  const input = Connection.prototype.input as (bytes: Buffer) => void;
  Connection.prototype.input = function (this: Reading, bytes: Buffer) {
    let rest = bytes;
    const begun = waiting.get(this);
    if (begun) {
      const taken = fill(begun, bytes);
      if (begun.filled < begun.frame.length)
        clearTimeout(this.heartbeat_in); // As rhea does: it is set with the whole frame.
      else {
        waiting.delete(this);
        input.call(this, begun.frame);
        restForATurn(this);
      }
      rest = bytes.subarray(taken);
      if (rest.length === 0) return discard(this, bytes);
      if (this.saved_error) return;
    }
    input.call(this, rest);
    takeOver(this);
  };
}

/** A client with several batches on their way writes them in one go. The first is to be in the log when the last is read. */
function restForATurn({ socket }: Reading): void {
  if (!(socket instanceof Duplex)) return;
  socket.pause();
  setImmediate(() => socket.resume());
}

function fill(begun: Waiting, bytes: Buffer): number {
  const taken = bytes.copy(begun.frame, begun.filled);
  begun.filled += taken;
  return taken;
}

/** rhea has the beginning of a frame. A claim alone, with nothing behind it yet, gets no memory. */
function takeOver(connection: Reading): void {
  const { frame_size: size, chunks, received_bytes: received = 0 } = connection;
  if (!size || !chunks || size < LONG || received < LONG / 4) return;
  const begun = { frame: Buffer.allocUnsafeSlow(size), filled: 0 };
  ofOneFrame.add(begun.frame.buffer);
  for (const chunk of chunks) {
    fill(begun, chunk);
    discard(connection, chunk);
  }
  waiting.set(connection, begun);
  connection.chunks = null;
  connection.frame_size = undefined;
}

/** What was read from a socket of the system, and copied, is nobody else's. */
function discard({ socket }: Reading, bytes: Buffer): void {
  const whole = bytes.length === bytes.buffer.byteLength;
  if (whole && bytes.length >= LONG / 4 && socket instanceof Socket) freeMemory(bytes);
}

/** Gives the memory of a transfer back if it came as one long frame. Nothing that was read from it may be used any more. */
export function releaseTransfer(bytes: Buffer): void {
  if (ofOneFrame.has(bytes.buffer)) freeMemory(bytes);
}
