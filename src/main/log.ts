// Log lines, as a listener of signals. `error` means that a human must act, `warn` that we coped. A signal that is not
// in the table is a `debug` line: whoever adds a signal that people should see adds it here. Lines hold the fields of
// the signal, which by the rule of kit/signals.ts hold no address, body or secret.
import { type Logger, pino } from 'pino';
import type { Signal } from '../kit/signals.ts';
import { prettyStream } from './log-pretty.ts';
import type { Settings } from './settings-table.ts';

export type Log = Logger;

const LEVELS: Readonly<Record<string, 'info' | 'warn' | 'error'>> = {
  'engine.ready': 'info',
  'engine.recovering': 'warn',
  'engine.lost': 'warn',
  'engine.restart_failed': 'error',
  'schema.migrated': 'info',
  'pages.built': 'info',
  'pages.failed': 'error',
  'server.take-back-failed': 'warn',
  'server.keys-differ': 'error',
  'http.failed': 'error',
  'handler.refused': 'warn',
  'handler.walk-failed': 'warn',
  'lane.paused': 'warn',
  'lane.resumed': 'info',
  'lane.failed': 'error',
  'delivery.fenced': 'warn',
  'inbox.fault': 'warn',
  'decision.fault': 'warn',
  'decision.reply-given-up': 'error',
  'topics.consumer_failed': 'warn',
  'topics.owner_lost': 'warn',
  'topics.database_away': 'warn',
  'topics.database_back': 'info',
  'topics.clock_set': 'warn',
  'topics.forward_waits': 'warn',
  'topics.task_failed': 'error',
  'housekeeping.failed': 'warn',
  'servicebus.failed': 'error',
  'push.lane-stopped': 'error',
  'push.lane-paused': 'warn',
  'push.lane-resumed': 'info',
  'push.wrong-environment': 'error',
  'hub.failed': 'error',
  'hub.lanes-renewed': 'info',
  'directline.failed': 'error',
  'agent.failed': 'warn',
  'assistant.stream-fault': 'warn',
  'assistant.keys-failed': 'warn',
  'assistant.turn-failed': 'warn',
  'assistant.door-failed': 'error',
  'conversation.stopped': 'error',
  'conversation.place-lost': 'info',
  'conversation.edit-failed': 'warn',
};

const labels = { formatters: { level: (level: string) => ({ level }) } };

export function createLog({ logLevel, logFormat }: Pick<Settings, 'logLevel' | 'logFormat'>): Log {
  const pretty = logFormat === 'pretty' || (logFormat === 'auto' && process.stdout.isTTY);
  const options = { level: logLevel, base: null, timestamp: pino.stdTimeFunctions.isoTime, ...labels };
  return pretty
    ? pino(options, prettyStream(process.stdout))
    : pino(options, pino.destination({ dest: 1, sync: true }));
}

/** The listener that writes each signal as a line. */
export function logSignals(log: Log): (signal: Signal) => void {
  return (signal) => {
    const level = levelOf(signal);
    if (!log.isLevelEnabled(level)) return;
    const { name, error, ...fields } = signal as Signal & { error?: unknown };
    log[level](error === undefined ? fields : { ...fields, err: error }, name);
  };
}

// A room may say by itself that a human must act: `alarm: true`. A delivery that was given up waits for one, too.
function levelOf(signal: Signal): 'debug' | 'info' | 'warn' | 'error' {
  if ('alarm' in signal && signal.alarm === true) return 'error';
  if ('outcome' in signal && signal.outcome === 'dead') return 'warn';
  return LEVELS[signal.name] ?? 'debug';
}
