// All commands, in the order in which help shows them.
import { queueCommands, ruleCommands, subscriptionCommands, topicCommands } from './broker-entities.ts';
import type { Command } from './command.ts';
import { configCommand } from './config-command.ts';
import { connectionStringCommand, regenerateCommand } from './connection-string.ts';
import { conversationCommands } from './conversations.ts';
import { deadLetterCommands } from './dead-letters.ts';
import { deviceCommands } from './devices.ts';
import { doctorCommand } from './doctor.ts';
import { keyCommands, recipientCommands } from './entities.ts';
import { sendCommand, signInCommand, traceCommand, watchCommand } from './flow.ts';
import { hubChannelCommands } from './hub-channels.ts';
import { hubCommands } from './hubs.ts';
import { messageCommands } from './messages.ts';
import { withNamespace } from './namespace.ts';
import { noticeCommands } from './notices.ts';
import { pushCommands } from './pushes.ts';
import { questionCommands } from './questions.ts';
import { simulateCommand } from './simulate.ts';
import { standinsCommand } from './standins.ts';

const startCommand: Command = {
  words: 'start',
  summary: 'Start the server',
  // Only here, so that client commands do not load the whole server.
  raw: async (argv, env) => (await import('../start.ts')).start(argv, env),
};

const all: readonly Command[] = [
  startCommand,
  sendCommand,
  watchCommand,
  traceCommand,
  simulateCommand,
  signInCommand,
  ...topicCommands,
  ...subscriptionCommands,
  ...queueCommands,
  ...ruleCommands,
  ...messageCommands,
  ...recipientCommands,
  ...noticeCommands,
  ...questionCommands,
  ...conversationCommands,
  ...deviceCommands,
  ...hubCommands,
  ...hubChannelCommands,
  ...pushCommands,
  standinsCommand,
  ...deadLetterCommands,
  ...keyCommands,
  connectionStringCommand,
  regenerateCommand,
  configCommand,
  doctorCommand,
];

export const commands: readonly Command[] = all.map(withNamespace);
