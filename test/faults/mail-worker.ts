// A process that does nothing but send mail: a real dispatcher and a real mail channel, to be killed at any moment.
// Arguments: database address, SMTP address. It says "ready" on its standard output once it runs.
import { Dispatcher } from '../../src/deliveries/dispatcher.ts';
import { emailChannel, emailPolicy } from '../../src/email/channel.ts';
import { Database } from '../../src/kit/database.ts';

const [databaseUrl, smtpUrl] = process.argv.slice(2) as [string, string];
const database = new Database({ url: databaseUrl, poolSize: 4 });
// A leftover connection of a killed PostgreSQL backend must not end this process; the lane copes and says so.
const email = emailChannel({
  smtpUrl,
  from: 'carillon@carillon.example',
  publicUrl: 'https://carillon.example',
  unsubscribeKeys: [Buffer.alloc(32, 1)],
  letters: async (deliveries) =>
    new Map(
      deliveries.map(({ id, noticeId, recipientId }) => [
        id,
        { card: { title: noticeId }, category: 'test', noticeId, recipientId },
      ]),
    ),
});
const dispatcher = Dispatcher.start({
  database,
  channels: [email],
  emit: () => {},
  policy: { email: { ...emailPolicy, leaseMs: 1_000, pollMs: 500 } },
});
process.stdout.write('ready\n');

process.on('SIGTERM', () => {
  void dispatcher.stop().then(async () => {
    email.stop();
    await database.close();
  });
});
