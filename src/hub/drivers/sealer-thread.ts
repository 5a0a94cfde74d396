// The worker thread of sealer.ts: takes batches, seals them, sends the bodies back without copying.

import { parentPort } from 'node:worker_threads';
import { Encryption } from './encryption.ts';
import type { SealBatch, SealedBatch } from './sealer.ts';

const encryption = new Encryption();

parentPort?.on('message', ({ texts, keys }: SealBatch) => {
  const bytes = Buffer.from(keys.buffer, keys.byteOffset, keys.length);
  const sealed = texts.map((text, i) => sealOne(text, bytes.subarray(i * 81, i * 81 + 81)));
  encryption.rest();
  const bodies = new Uint8Array(Buffer.concat(sealed));
  const batch: SealedBatch = { bodies, lengths: sealed.map(({ length }) => length) };
  parentPort?.postMessage(batch, [bodies.buffer]);
});

function sealOne(text: string, keys: Buffer): Buffer {
  try {
    return encryption.seal(text, { p256dh: keys.subarray(0, 65), auth: keys.subarray(65) });
  } catch {
    return Buffer.alloc(0);
  }
}
