// An agent as its author writes it, on the Microsoft 365 Agents SDK; nothing in it knows Carillon. In signed mode the
// environment alone makes the difference.
import { AgentApplication, CloudAdapter, MemoryStorage } from '@microsoft/agents-hosting';
import { startServer } from '@microsoft/agents-hosting-express';

const adapter = new CloudAdapter();
const agent = new AgentApplication({ adapter, storage: new MemoryStorage() });
const card = (body) => ({
  contentType: 'application/vnd.microsoft.card.adaptive',
  content: { type: 'AdaptiveCard', version: '1.5', body: [{ type: 'TextBlock', text: body }] },
});

agent.onConversationUpdate('membersAdded', async (context) => {
  await context.sendActivity(`Welcome, ${context.activity.from?.id} (${context.activity.from?.role})`);
});
agent.onMessage('card', async (context) => {
  await context.sendActivity({ type: 'message', attachments: [card('asks')] });
});
agent.onMessage('typing', async (context) => {
  await context.sendActivity({ type: 'typing' });
});
agent.onMessage('edit', async (context) => {
  const { id } = await context.sendActivity('draft');
  await context.updateActivity({ type: 'message', id, text: 'final', conversation: context.activity.conversation });
  const { id: other } = await context.sendActivity('mistake');
  await context.deleteActivity(other);
});
agent.onMessage('later', async (context) => {
  const reference = context.activity.getConversationReference();
  const identity = context.identity ?? { name: 'anonymous' };
  // After the turn, as a proactive message is.
  setTimeout(async () => {
    try {
      await adapter.continueConversation(identity, reference, async (later) => {
        await later.sendActivity('proactive');
      });
    } catch (error) {
      console.error('later failed', error);
    }
  }, 50);
});
agent.onMessage('throw later', async (context) => {
  const reference = context.activity.getConversationReference();
  const identity = context.identity ?? { name: 'anonymous' };
  await adapter.continueConversation(identity, reference, async () => {
    throw new Error('on purpose, later');
  });
  await context.sendActivity('it has thrown');
});
agent.onMessage('throw', async () => {
  throw new Error('on purpose');
});
agent.onActivity('message', async (context) => {
  await context.sendActivity(`You said: ${context.activity.text}`);
});
adapter.onTurnError = async (_context, error) => {
  console.error('turn failed', error.message);
};
startServer(agent);
