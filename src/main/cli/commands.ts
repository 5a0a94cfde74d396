// All commands, in the order in which help shows them.
import type { Command } from './command.ts';
import { configCommand } from './config-command.ts';
import { connectionStringCommand } from './connection-string.ts';
import { doctorCommand } from './doctor.ts';
import { deadLetterCommands, keyCommands, recipientCommands, subscriptionCommands, topicCommands } from './entities.ts';
import { sendCommand, signInCommand, traceCommand, watchCommand } from './flow.ts';
import { simulateCommand } from './simulate.ts';

const startCommand: Command = {
  words: 'start',
  summary: 'Start the server',
  // Only here, so that client commands do not load the whole server.
  raw: async (argv, env) => (await import('../start.ts')).start(argv, env),
};

export const commands: readonly Command[] = [
  startCommand,
  sendCommand,
  watchCommand,
  traceCommand,
  simulateCommand,
  signInCommand,
  ...topicCommands,
  ...subscriptionCommands,
  ...recipientCommands,
  ...deadLetterCommands,
  ...keyCommands,
  connectionStringCommand,
  configCommand,
  doctorCommand,
];
