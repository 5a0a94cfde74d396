// Memory that is freed by hand. The garbage collector finds a buffer only some day, and V8 looks through its whole
// heap the sooner the more memory buffers hold.

/** Buffers of at least this many bytes have their memory for themselves: node cuts only shorter ones out of a pool. */
export const OWN_MEMORY = 32_768;

/** Frees what is behind `bytes`, and behind every other view of it. Nothing may be read from there any more. */
export function freeMemory(bytes: Buffer): void {
  (bytes.buffer as ArrayBuffer).transfer(0);
}
