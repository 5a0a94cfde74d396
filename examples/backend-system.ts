// A backend system of the company: it creates its topic if that is not there, and tells every ten seconds that somebody
// joined, left or switched teams. It speaks to Azure Service Bus, or to Carillon, with the official client.
//   SERVICEBUS_CONNECTION_STRING='Endpoint=sb://localhost:5672;...' node examples/backend-system.ts
import { randomUUID } from 'node:crypto';
import { ServiceBusClient } from '@azure/service-bus';
import { administration, connectionString, every } from './connection.ts';

const TOPIC = 'employees';
const EVERY_MS = Number(process.env.EVERY_MS ?? 10_000);
const PEOPLE = ['Ada', 'Grace', 'Edsger', 'Barbara', 'Donald'] as const;
const EVENTS = ['joined', 'left', 'switched'] as const;

const admin = await administration();
if (!(await admin.topicExists(TOPIC))) {
  await admin.createTopic(TOPIC);
  console.log(`created topic ${TOPIC}`);
}
const client = new ServiceBusClient(connectionString);
const sender = client.createSender(TOPIC);

await every(EVERY_MS, async () => {
  const [name, event] = [pick(PEOPLE), pick(EVENTS)];
  const messageId = randomUUID();
  const body = { employee: { id: name.toLowerCase(), name }, team: 'Platform' };
  await sender.sendMessages({ messageId, subject: `hr.employee.${event}`, body, applicationProperties: { event } });
  console.log(`sent ${name} ${event} (${messageId})`);
});
await client.close();

function pick<T>(values: readonly T[]): T {
  return values[Math.floor(Math.random() * values.length)]!;
}
