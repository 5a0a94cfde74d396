// Brokers for room tests: stopped after each test, signals kept, topics with names of their own.
import { afterEach } from 'vitest';
import type { Database } from '../../src/kit/database.ts';
import { Broker, type BrokerSettings } from '../../src/topics/broker.ts';
import type { TopicSignal } from '../../src/topics/signals.ts';

export function useBrokers(database: Database) {
  const running: Broker[] = [];
  const signals: TopicSignal[] = [];
  let topics = 0;
  afterEach(async () => {
    for (const broker of running.splice(0).reverse()) await broker.stop();
    signals.length = 0;
  });
  return {
    signals,
    start: async (id = 'one', settings: BrokerSettings = {}): Promise<Broker> => {
      const emit = (signal: TopicSignal) => {
        signals.push(signal);
      };
      const broker = await Broker.start({ database, emit, node: { id }, settings });
      running.push(broker);
      return broker;
    },
    freshName: (prefix = 'topic') => `${prefix}-${++topics}`,
  };
}

export const text = (message: { readonly body: Uint8Array }): string => Buffer.from(message.body).toString();

export const say = (words: string, more: object = {}) => ({ body: Buffer.from(words), ...more });
