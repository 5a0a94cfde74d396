// A program that acts on the messages of backend-system: it creates its subscription if that is not there, takes messages
// under a lock, sends the notification, completes; when that fails it abandons, and the message comes again.
//   SERVICEBUS_CONNECTION_STRING='Endpoint=sb://localhost:5672;...' node examples/receiver.ts
import { ServiceBusClient, type ServiceBusReceivedMessage } from '@azure/service-bus';
import { administration, connectionString, interrupted } from './connection.ts';

const TOPIC = 'employees';
const SUBSCRIPTION = 'notifier';

const admin = await administration();
if (!(await admin.topicExists(TOPIC))) await admin.createTopic(TOPIC);
if (!(await admin.subscriptionExists(TOPIC, SUBSCRIPTION))) {
  await admin.createSubscription(TOPIC, SUBSCRIPTION, { maxDeliveryCount: 5 });
  console.log(`created subscription ${SUBSCRIPTION}`);
}
const client = new ServiceBusClient(connectionString);
const receiver = client.createReceiver(TOPIC, SUBSCRIPTION, { receiveMode: 'peekLock' });
const stream = receiver.subscribe(
  {
    processMessage: async (message) => {
      try {
        await sendNotification(message);
        await receiver.completeMessage(message);
      } catch (error) {
        console.error(`failed, gives it back: ${(error as Error).message}`);
        await receiver.abandonMessage(message);
      }
    },
    processError: async ({ error }) => console.error(error.message),
  },
  { autoCompleteMessages: false },
);
await interrupted();
await stream.close();
await client.close();

async function sendNotification({ body, applicationProperties, messageId }: ServiceBusReceivedMessage): Promise<void> {
  const { employee } = body as { employee: { name: string } };
  console.log(`notified: ${employee.name} ${applicationProperties?.event} (${messageId})`);
}
