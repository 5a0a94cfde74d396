// The table of settings in words: for `carillon start --help`, `carillon config --explain` and docs/settings.md.
import type { ReadSettings } from './settings.ts';
import { clientTable, environmentName, flagName, settingsTable, type Table } from './settings-table.ts';

/** The flags of `carillon start`, one block each. */
export function settingsHelp(): string {
  return Object.entries(settingsTable)
    .map(([key, setting]) => {
      const names = setting.secret
        ? `  ${environmentName(key)}, ${environmentName(key)}_FILE`
        : `  --${flagName(key)} <${setting.kind.shows}>  (${environmentName(key)})`;
      return `${names}\n      ${setting.sentence} ${defaultOf(setting)}`;
    })
    .join('\n');
}

/** Every setting with its value now and where the value comes from. Secrets are shown as set or not. */
export function explainSettings({ values, sources }: ReadSettings<typeof settingsTable>): ExplainedSetting[] {
  return Object.entries(settingsTable).map(([key, setting]) => {
    const name = key as keyof typeof settingsTable;
    const source = sources[name];
    const value = setting.secret && values[name] !== undefined ? '(secret)' : values[name];
    return {
      name: environmentName(key),
      value: value ?? null,
      from: source ? (source.origin === 'default' ? 'default' : `${source.origin} ${source.name}`) : setting.otherwise,
      sentence: setting.sentence,
    };
  });
}

export type ExplainedSetting = {
  readonly name: string;
  readonly value: string | number | readonly string[] | null;
  readonly from: string;
  readonly sentence: string;
};

/** docs/settings.md. */
export function settingsPage(): string {
  return [
    '# Settings',
    '',
    'Printed from `src/main/settings-table.ts` by `npm run print`; do not edit.',
    '',
    'A flag of `carillon start` wins over the environment, the environment over the default. A secret has no flag; it',
    'may lie in a file that `<NAME>_FILE` names. An unknown `CARILLON_*` name or a bad value stops the start, with all',
    'problems listed at once. `carillon config --explain` shows the values in force and where each comes from.',
    '',
    '## The server',
    '',
    ...rows(settingsTable),
    '',
    '## The client commands',
    '',
    'All commands but `start` are clients of the HTTP API; they also take `--url` and `--key`.',
    '',
    ...rows(clientTable),
    '',
  ].join('\n');
}

function rows(table: Table): string[] {
  const lines = Object.entries(table).map(([key, setting]) => {
    const name = environmentName(key);
    const flag = setting.secret ? `\`${name}_FILE\`` : `\`--${flagName(key)}\``;
    const value = setting.default === undefined ? setting.otherwise : `\`${setting.default}\``;
    return `| \`${name}\` | ${flag} | ${value} | ${setting.kind.unit ?? ''} | ${setting.sentence} |`;
  });
  return ['| environment | flag or file | default | unit | what it is |', '|---|---|---|---|---|', ...lines];
}

function defaultOf(setting: Table[string]): string {
  const unit = setting.kind.unit ? ` ${setting.kind.unit}` : '';
  return setting.default === undefined ? `Without it: ${setting.otherwise}.` : `Default: ${setting.default}${unit}.`;
}
