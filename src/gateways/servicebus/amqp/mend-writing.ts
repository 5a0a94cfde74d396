// How frames leave: at their full length, and all that one turn of a connection has to say in one piece. Part of mend.ts.
import { type Composite, Connection, type Frame, frames, Transport, type Typed, types } from './rhea-internals.ts';
import { encodeTransfer, PlainTransfer, type TransferFields } from './transfer.ts';

export function mendWriting(): void {
  padPerformatives();
  writeOncePerTurn();
}

// How many fields each performative has. Azure's pure-Python client reads them by position and takes no shorter list.
const FIELDS: Readonly<Record<number, number>> = { 16: 10, 17: 8, 18: 14, 19: 11, 20: 11, 21: 6, 22: 3, 23: 1, 24: 1 };
const ERROR_AT: Readonly<Record<number, number>> = { 22: 2, 23: 0, 24: 0 };
const ERROR_FIELDS = 3;
const DISPOSITION = 21;
const DISPOSITION_STATE = 4;

function padPerformatives(): void {
  const write = frames.write_frame;
  frames.write_frame = (frame: Frame) => {
    if (frame instanceof EncodedFrame) return frame.bytes;
    if (frame.performative) pad(frame.performative);
    return write(frame);
  };
}

function pad(performative: Composite): void {
  const code = codeOf(performative);
  const count = code === undefined ? undefined : FIELDS[code];
  if (code === undefined || count === undefined) return;
  const fields = performative.value;
  for (let i = fields.length; i < count; i++) fields[i] = types.Null();
  const errorAt = ERROR_AT[code];
  if (errorAt !== undefined) padError(fields[errorAt]);
  if (code === DISPOSITION) padError(firstOf(fields[DISPOSITION_STATE]));
}

function codeOf(performative: Composite): number | undefined {
  const kind = performative.constructor as { descriptor?: { numeric: number } };
  return kind.descriptor?.numeric;
}

/** The first field of a described list, such as the error of a rejected outcome. */
function firstOf(typed: unknown): unknown {
  const value = (typed as Typed | undefined)?.value;
  return Array.isArray(value) ? value[0] : undefined;
}

function padError(typed: unknown): void {
  const value = (typed as Typed | undefined)?.value;
  if (Array.isArray(value)) while (value.length < ERROR_FIELDS) value.push(types.Null());
}

// rhea encodes each frame, writes it to the socket and sets its heartbeat anew, one frame after the other. Here what one
// turn of a connection has to say leaves in one piece, and transfers, nearly all of it, are encoded by hand.
function writeOncePerTurn(): void {
  const prototype = Connection.prototype;
  const busy = new WeakSet<object>();
  const writeFrame = prototype._write_frame as (...args: unknown[]) => void;
  prototype._write_frame = function (this: Turning, channel: number, performative: unknown, payload?: Buffer) {
    if (!busy.has(this)) return writeFrame.call(this, channel, performative, payload);
    const frame = frames.amqp_frame(channel, performative, payload);
    // rhea goes on changing what it has handed over: the error of a close is taken out at once.
    const isFixed = performative instanceof PlainTransfer;
    this.amqp_transport.encode(isFixed ? frame : new EncodedFrame(frames.write_frame(frame)));
  };
  const run = prototype._process as () => void;
  prototype._process = function (this: Turning) {
    busy.add(this);
    try {
      run.call(this);
    } finally {
      busy.delete(this);
    }
    if (this.amqp_transport.has_writes_pending()) this.output();
  };
  frames.transfer = (fields: TransferFields) => new PlainTransfer(fields);
  const write = Transport.prototype.write as (socket: Writable) => void;
  Transport.prototype.write = function (this: { header_sent?: unknown; pending: Pending[] }, socket: Writable) {
    if (!this.header_sent || this.pending.length === 0) return write.call(this, socket);
    const bytes = encodeFrames(this.pending);
    this.pending = [];
    socket.write(bytes);
  };
}

type Writable = { write(bytes: Buffer): void };
type Turning = {
  readonly amqp_transport: { encode(frame: unknown): void; has_writes_pending(): boolean };
  output(): void;
};

/** A frame as it leaves. */
class EncodedFrame {
  readonly bytes: Buffer;
  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }
}

type Pending = Frame | EncodedFrame;

function encodeFrames(pending: readonly Pending[]): Buffer {
  const parts = pending.flatMap(partsOf);
  return parts.length === 1 ? parts[0]! : Buffer.concat(parts);
}

function partsOf(frame: Pending): Buffer[] {
  if (frame instanceof EncodedFrame) return [frame.bytes];
  const { performative, channel, payload } = frame;
  if (!(performative instanceof PlainTransfer)) return [frames.write_frame(frame)];
  const head = encodeTransfer(channel, performative.fields, payload);
  return payload ? [head, payload] : [head];
}
