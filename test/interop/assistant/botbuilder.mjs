// A bot as it was written for the Bot Framework SDK, anonymous; nothing in it knows Carillon.
import { createServer } from 'node:http';
import botbuilder from 'botbuilder';

const { ActivityHandler, BotFrameworkAdapter, MessageFactory, TurnContext } = botbuilder;
const adapter = new BotFrameworkAdapter({});
adapter.onTurnError = async (_context, error) => console.error('turn failed', error);

class Bot extends ActivityHandler {
  constructor() {
    super();
    this.onMembersAdded(async (context, next) => {
      await context.sendActivity(`Welcome, ${context.activity.from.id} (${context.activity.from.role})`);
      await next();
    });
    this.onMessage(async (context, next) => {
      const { text } = context.activity;
      if (text === 'edit') {
        const { id } = await context.sendActivity('draft');
        await context.updateActivity({ ...MessageFactory.text('final'), id });
      } else if (text === 'later') {
        const reference = TurnContext.getConversationReference(context.activity);
        setTimeout(() => {
          adapter
            .continueConversation(reference, async (later) => {
              await later.sendActivity('proactive');
            })
            .catch((error) => console.error('later failed', error));
        }, 50);
      } else await context.sendActivity(`You said: ${text}`);
      await next();
    });
  }
}

const bot = new Bot();
createServer((request, response) => {
  const chunks = [];
  request.on('data', (chunk) => chunks.push(chunk));
  request.on('end', () => {
    request.body = JSON.parse(Buffer.concat(chunks).toString() || '{}');
    // The three members of a response that the adapter of the SDK uses.
    const answer = {
      status: (code) => {
        response.statusCode = code;
      },
      send: (body) => response.end(body === undefined ? '' : JSON.stringify(body)),
      end: () => response.end(),
    };
    adapter.processActivity(request, answer, (context) => bot.run(context)).catch((error) => console.error(error));
  });
}).listen(Number(process.env.PORT), '127.0.0.1');
