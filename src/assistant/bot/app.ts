// The assistant as an agent of the Microsoft 365 Agents SDK: its handler takes turns of any surface, its adapter hands
// what is said back to the surface that asked. This file loads the SDK (36 MB, a third of a second), so it is imported
// when the first person speaks, not at the start.
import { Activity as SdkActivity } from '@microsoft/agents-activity';
import { ActivityHandler, BaseAdapter, type ResourceResponse, TurnContext } from '@microsoft/agents-hosting';
import type { Activity } from '../conversations/activity.ts';
import { answerTo, type BotDeps } from './answers.ts';
import type { Hear, Heard } from './hear.ts';
import { activityOfReply, HELP, type Reply } from './words.ts';

/** Where a turn's own way back lies in its context. */
const HEARD = Symbol('heard');
const SORRY = 'Something went wrong on my side. Please try again in a moment.';

export function openApp(deps: BotDeps): Hear {
  const adapter = new TurnAdapter();
  const handler = new AssistantHandler(deps);
  return (heard) => adapter.take(heard, (context) => handler.run(context));
}

class AssistantHandler extends ActivityHandler {
  constructor(deps: BotDeps) {
    super();
    this.onMessage(async (context, next) => {
      const heard = heardIn(context);
      await reply(context, heard, await answerTo(deps, heard));
      await next();
    });
    this.onMembersAdded(async (context, next) => {
      await reply(context, heardIn(context), { ...HELP, text: `Hello. I tell you what concerns you.\n\n${HELP.text}` });
      await next();
    });
  }
}

async function reply(context: TurnContext, heard: Heard, { cards = [], ...words }: Reply): Promise<void> {
  await context.sendActivity(SdkActivity.fromObject(activityOfReply(words, heard.recipientId)));
  for (const content of cards) await heard.show(content);
}

function heardIn(context: TurnContext): Heard {
  return context.turnState.get(HEARD) as Heard; // the adapter put it there
}

/** The SDK's own adapter speaks HTTP to a connector; this one is inside. */
class TurnAdapter extends BaseAdapter {
  constructor() {
    super();
    // The SDK's default tells people about a bug in the source code.
    this.onTurnError = async (_context, error) => {
      throw error;
    };
  }

  async take(heard: Heard, logic: (context: TurnContext) => Promise<void>): Promise<void> {
    const context = new TurnContext(this, SdkActivity.fromObject(withWhatTheSdkNeeds(heard)));
    context.turnState.set(HEARD, heard);
    try {
      await this.runMiddleware(context, logic);
    } catch (error) {
      await heard.say({ type: 'message', text: SORRY });
      throw error;
    }
  }

  async sendActivities(context: TurnContext, activities: SdkActivity[]): Promise<ResourceResponse[]> {
    const heard = context.turnState.get(HEARD) as Heard; // `take` put it there
    const responses: ResourceResponse[] = [];
    // A plain stringify would write the SDK's private fields.
    for (const each of activities) responses.push({ id: (await heard.say(fromSdk(each))) ?? '' });
    return responses;
  }

  updateActivity = unused;
  deleteActivity = unused;
  continueConversation = unused;
  uploadAttachment = unused;
  getAttachmentInfo = unused;
  getAttachment = unused;
}

async function unused(): Promise<never> {
  throw new Error('The built-in assistant only answers.');
}

/** Its validation wants a sender and a conversation, and neither nulls nor empty texts. */
function withWhatTheSdkNeeds({ activity, recipientId, surface }: Heard): object {
  const { type, text, value, membersAdded, locale, id } = activity;
  return {
    type,
    ...(text && { text }),
    ...(value !== undefined && value !== null && { value }),
    ...(Array.isArray(membersAdded) && { membersAdded }),
    ...(locale && { locale }),
    ...(id && { id }),
    channelId: surface,
    from: { id: recipientId, role: 'user' },
    recipient: { id: 'assistant', role: 'bot' },
    conversation: { id: activity.conversation?.id ?? recipientId },
  };
}

/** Without the addresses that the SDK filled in: the surface knows its own. */
function fromSdk(activity: SdkActivity): Activity {
  const {
    from: _,
    recipient: __,
    conversation: ___,
    channelId: ____,
    serviceUrl: _____,
    ...rest
  } = JSON.parse(activity.toJsonString()) as Activity;
  return rest as Activity; // only addresses are gone
}
