// The pages of the bench: sockets that tell their parent what they hear and when.
import { WebSocket } from 'ws';
import type { FromClients, ToClients } from './socket-messages.ts';

const AT_ONCE = 200;

process.on('message', async ({ urls }: ToClients) => {
  for (let from = 0; from < urls.length; from += AT_ONCE) {
    const batch = urls.slice(from, from + AT_ONCE);
    await Promise.all(batch.map(open));
    tell({ kind: 'open', count: from + batch.length });
  }
});

/** Open when its first frame has come. */
function open(url: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url, { perMessageDeflate: false });
    socket.on('error', reject);
    socket.on('message', (data) => {
      const at = performance.timeOrigin + performance.now();
      resolve();
      const frame = String(data);
      if (frame === '') return;
      for (const { text } of JSON.parse(frame).activities) tell({ kind: 'heard', text, at });
    });
  });
}

function tell(message: FromClients): void {
  process.send!(message);
}
