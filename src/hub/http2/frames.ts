// HTTP/2 frames (RFC 9113 section 4 and 6): reading them out of chunks, and the few bytes each kind is made of. Pure.

export const frame = {
  data: 0,
  headers: 1,
  priority: 2,
  rstStream: 3,
  settings: 4,
  pushPromise: 5,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;

export const flag = { ack: 1, endStream: 1, endHeaders: 4, padded: 8, priority: 32 } as const;

export const errorCode = {
  none: 0,
  protocol: 1,
  internal: 2,
  flowControl: 3,
  settingsTimeout: 4,
  streamClosed: 5,
  frameSize: 6,
  refusedStream: 7,
  cancel: 8,
  compression: 9,
  connect: 10,
  enhanceYourCalm: 11,
} as const;

export const setting = {
  headerTableSize: 1,
  enablePush: 2,
  maxConcurrentStreams: 3,
  initialWindowSize: 4,
  maxFrameSize: 5,
  maxHeaderListSize: 6,
} as const;

export const preface = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';
export const frameHeaderBytes = 9;
export const defaultWindow = 65_535;
export const defaultMaxFrame = 16_384;
export const maxWindow = 0x7fff_ffff;

/** The peer broke the protocol: the whole connection ends with GOAWAY(code). */
export class ConnectionError extends Error {
  override readonly name = 'ConnectionError';
  readonly code: number;
  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

/** A frame's payload is `bytes[start, end)`, valid only during the call: whoever keeps it copies it. */
export type OnFrame = (type: number, flags: number, stream: number, bytes: Buffer, start: number, end: number) => void;

/** Cuts a byte stream into frames. Whole frames are read in place; only one that spans chunks is gathered, each byte copied once. */
export class FrameReader {
  readonly #onFrame: OnFrame;
  readonly #held: Buffer;
  readonly #maxFrame: number;
  #heldBytes = 0;

  constructor(onFrame: OnFrame, maxFrame: number = defaultMaxFrame) {
    this.#onFrame = onFrame;
    this.#maxFrame = maxFrame;
    this.#held = Buffer.allocUnsafeSlow(frameHeaderBytes + maxFrame);
  }

  /** Throws ConnectionError(FRAME_SIZE_ERROR) for a frame above our limit, and whatever `onFrame` throws. */
  push(chunk: Buffer): void {
    let at = this.#heldBytes > 0 ? this.#finishHeld(chunk) : 0;
    while (chunk.length - at >= frameHeaderBytes) {
      const end = at + frameHeaderBytes + this.#payloadBytes(chunk, at);
      if (end > chunk.length) break;
      this.#emit(chunk, at, end);
      at = end;
    }
    if (at < chunk.length) this.#heldBytes += chunk.copy(this.#held, this.#heldBytes, at);
  }

  #finishHeld(chunk: Buffer): number {
    let at = this.#fillTo(frameHeaderBytes, chunk, 0);
    if (this.#heldBytes < frameHeaderBytes) return at;
    const bytes = frameHeaderBytes + this.#payloadBytes(this.#held, 0);
    at = this.#fillTo(bytes, chunk, at);
    if (this.#heldBytes < bytes) return at;
    this.#heldBytes = 0;
    this.#emit(this.#held, 0, bytes);
    return at;
  }

  #fillTo(bytes: number, chunk: Buffer, at: number): number {
    if (this.#heldBytes >= bytes) return at;
    const copied = chunk.copy(this.#held, this.#heldBytes, at, at + bytes - this.#heldBytes);
    this.#heldBytes += copied;
    return at + copied;
  }

  #payloadBytes(bytes: Buffer, at: number): number {
    const length = (bytes[at]! << 16) | (bytes[at + 1]! << 8) | bytes[at + 2]!;
    if (length > this.#maxFrame) throw new ConnectionError(errorCode.frameSize, `a frame of ${length} bytes`);
    return length;
  }

  #emit(bytes: Buffer, at: number, end: number): void {
    const stream = readUint31(bytes, at + 5);
    this.#onFrame(bytes[at + 3]!, bytes[at + 4]!, stream, bytes, at + frameHeaderBytes, end);
  }
}

export function readUint31(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! & 0x7f) << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
}

export function readUint32(bytes: Uint8Array, at: number): number {
  return readUint31(bytes, at) + (bytes[at]! & 0x80) * 0x100_0000;
}

export function writeUint32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
}

export function writeFrameHeader(
  bytes: Uint8Array,
  at: number,
  length: number,
  type: number,
  flags: number,
  stream: number,
): void {
  bytes[at] = length >>> 16;
  bytes[at + 1] = length >>> 8;
  bytes[at + 2] = length;
  bytes[at + 3] = type;
  bytes[at + 4] = flags;
  writeUint32(bytes, at + 5, stream);
}

/** A whole frame as bytes of its own; for the rare kinds. */
export function frameOf(type: number, flags: number, stream: number, payload: Uint8Array): Buffer {
  const bytes = Buffer.allocUnsafe(frameHeaderBytes + payload.length);
  writeFrameHeader(bytes, 0, payload.length, type, flags, stream);
  bytes.set(payload, frameHeaderBytes);
  return bytes;
}

export function settingsFrame(settings: readonly (readonly [id: number, value: number])[]): Buffer {
  const payload = Buffer.allocUnsafe(settings.length * 6);
  settings.forEach(([id, value], i) => {
    payload.writeUInt16BE(id, i * 6);
    payload.writeUInt32BE(value, i * 6 + 2);
  });
  return frameOf(frame.settings, 0, 0, payload);
}

export function uint32Frame(type: number, stream: number, value: number): Buffer {
  const payload = Buffer.allocUnsafe(4);
  writeUint32(payload, 0, value);
  return frameOf(type, 0, stream, payload);
}

export function goawayFrame(lastStream: number, code: number, debug = ''): Buffer {
  const payload = Buffer.allocUnsafe(8 + Buffer.byteLength(debug));
  writeUint32(payload, 0, lastStream);
  writeUint32(payload, 4, code);
  payload.write(debug, 8);
  return frameOf(frame.goaway, 0, 0, payload);
}

export type Span = { readonly start: number; readonly end: number };

/** The content of a DATA or HEADERS payload without padding and priority. Throws a PROTOCOL_ERROR when the padding does not fit. */
export function contentOf(type: number, flags: number, bytes: Buffer, start: number, end: number): Span {
  let from = start;
  let to = end;
  if (flags & flag.padded) {
    if (from >= to) throw new ConnectionError(errorCode.frameSize, 'a padded frame without a pad length');
    to -= bytes[from]!;
    from += 1;
  }
  if (type === frame.headers && flags & flag.priority) from += 5;
  if (from > to) throw new ConnectionError(errorCode.protocol, 'padding is longer than the frame');
  return { start: from, end: to };
}
