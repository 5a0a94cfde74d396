// A broker in a process of its own, to be killed: publishes numbered messages, completes what it receives, and tells on
// standard output what it was promised. Arguments: database url, node id, topic, subscription, first number.
import { Database } from '../../src/kit/database.ts';
import { Broker } from '../../src/topics/broker.ts';

const [url, id, topic, subscription, first] = process.argv.slice(2) as [string, string, string, string, string];
const database = new Database({ url, poolSize: 6 });
const link = { host: '127.0.0.1', port: 0 };
const broker = await Broker.start({ database, emit: () => {}, node: { id }, settings: { link } });
const tell = (kind: string, names: readonly string[]) => process.stdout.write(`${kind} ${names.join(',')}\n`);

async function publish(worker: number): Promise<void> {
  for (let n = Number(first) + worker; ; n += 4) {
    const name = `${n}`;
    await broker.publish(topic, [{ messageId: name, sessionId: `${n % 7}`, body: Buffer.alloc(200, name) }]);
    tell('published', [name]);
  }
}

async function receive(): Promise<void> {
  const receiver = broker.receiver(`${topic}/Subscriptions/${subscription}`);
  for (;;) {
    const messages = await receiver.receive({ max: 20, waitMs: 500 });
    const settled = await receiver.trySettle(messages, { kind: 'complete' });
    const done = messages.filter((_, i) => settled[i]).map((message) => message.messageId);
    if (done.length > 0) tell('completed', done);
  }
}

tell('ready', []);
await Promise.all([publish(0), publish(1), publish(2), publish(3), receive(), receive()]);
