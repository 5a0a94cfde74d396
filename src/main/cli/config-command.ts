// `carillon config`: the settings in force, and whether the config file is right.
import { readSettings } from '../settings.ts';
import { explainSettings } from '../settings-print.ts';
import { type Command, stringOption } from './command.ts';
import { table } from './output.ts';

export const configCommand: Command = {
  words: 'config',
  summary: 'Check the settings and the config file; --explain shows every setting and where it comes from',
  options: {
    explain: { type: 'boolean', sentence: 'Show every setting, its value and its origin.' },
    config: { type: 'string', shows: 'file', sentence: 'The config file to check.' },
  },
  run: async (call) => {
    const flags = ['data-dir', 'config'].flatMap((name) => {
      const value = stringOption(call, name);
      return value === undefined ? [] : [`--${name}`, value];
    });
    const settings = readSettings(flags, call.env);
    if (call.options.explain) {
      const explained = explainSettings(settings);
      return call.out.result(explained, () => table(explained, ['name', 'value', 'from', 'sentence']));
    }
    // Loaded here, so that other commands start without the rooms behind it.
    const { loadConfig } = await import('../config/load.ts');
    const config = await loadConfig(settings.values.config);
    const summary = {
      file: config.file ?? null,
      topics: config.topics.map(({ name }) => name),
      notifications: config.definitions.all.map(({ name }) => name),
    };
    call.out.fields(summary);
  },
};
