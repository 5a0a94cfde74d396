// The worker thread of sealer.ts: takes batches, seals them, sends the bodies back without copying.

import { parentPort } from 'node:worker_threads';
import { Encryption } from './encryption.ts';
import { lengthOf, type SealBatch, type SealedBatch, trySeal } from './sealer.ts';

const encryption = new Encryption();

parentPort?.on('message', ({ texts, keys }: SealBatch) => {
  const bytes = Buffer.from(keys.buffer, keys.byteOffset, keys.length);
  const sealed = texts.map((text, i) => {
    const own = bytes.subarray(i * 81, i * 81 + 81);
    return trySeal(encryption, text, { p256dh: own.subarray(0, 65), auth: own.subarray(65) });
  });
  encryption.rest();
  const bodies = new Uint8Array(Buffer.concat(sealed.filter((each) => typeof each !== 'string')));
  const batch: SealedBatch = { bodies, lengths: sealed.map(lengthOf) };
  parentPort?.postMessage(batch, [bodies.buffer]);
});
