// Who says too little: a connection costs nothing to open, and there are only so many.
import { once } from 'node:events';
import { connect } from 'node:net';
import { describe, expect, it } from 'vitest';
import { begunAt, openDoor } from '../../../test/support/amqp-door.ts';
import { useBrokers } from '../../../test/support/broker.ts';
import { useDatabase } from '../../../test/support/database.ts';
import { CLOSE, openAndBegin, RawClient, signInBy } from '../../../test/support/raw-amqp.ts';

describe('connections without a token', () => {
  const { database } = useDatabase();
  const { start } = useBrokers(database);

  it.each([
    ['half a protocol header', Buffer.from('AMQ')],
    ['the header of SASL', Buffer.from('AMQP\x03\x01\x00\x00', 'latin1')],
    ['a name and no open', signInBy('ANONYMOUS')],
    ['half a request of HTTP', Buffer.from('GET / HT')],
  ])('end after a while: %s', async (_words, bytes) => {
    await using stack = new AsyncDisposableStack();
    const door = await openDoor({ database, broker: await start() }, stack, () => {}, { patienceMs: 400 });
    const socket = connect(door.port, '127.0.0.1').resume();
    stack.defer(() => void socket.destroy());
    socket.write(bytes);
    await once(socket, 'close');
  });

  it('are told why when they are far enough, and leave those with a token alone', async () => {
    await using stack = new AsyncDisposableStack();
    const door = await openDoor({ database, broker: await start() }, stack, () => {}, { patienceMs: 400 });
    await using welcome = await begunAt(door);
    await using stranger = new RawClient(door.port);
    stranger.write(signInBy('ANONYMOUS'), openAndBegin());
    await stranger.until(() => stranger.of(CLOSE).length > 0);
    expect(stranger.of(CLOSE)).toHaveLength(1);
    expect(welcome.closed).toBe(false);
  });
});
