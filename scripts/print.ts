// The pages under docs/ that are printed from the code. `print.ts` writes them, `print.ts --check` compares them.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { refusals } from '../src/kit/refusal.ts';
import { commandsPage } from '../src/main/cli/commands-page.ts';
import { settingsPage } from '../src/main/settings-print.ts';

const pages: Readonly<Record<string, () => string>> = {
  'docs/settings.md': settingsPage,
  'docs/errors.md': errorsPage,
  'docs/commands.md': commandsPage,
};

/** The pages that differ from what the code prints. */
export function stalePages(): string[] {
  return Object.entries(pages).flatMap(([path, print]) => {
    const file = fileOf(path);
    return existsSync(file) && readFileSync(file, 'utf8') === print() ? [] : [path];
  });
}

function errorsPage(): string {
  const rows = Object.entries(refusals).map(
    ([code, { status, title, retryable }]) => `| \`${code}\` | ${status} | ${title} | ${retryable ? 'yes' : ''} |`,
  );
  return [
    '# Errors',
    '',
    'Printed from `src/kit/refusal.ts` by `npm run print`; do not edit.',
    '',
    'Over HTTP an error is `application/problem+json` with the code in `code`, the title below in `title`, and what is',
    'wrong with this very request in `detail`. A retryable one may succeed when the same call is made again later.',
    '',
    '| code | HTTP status | title | retryable |',
    '|---|---|---|---|',
    ...rows,
    '',
  ].join('\n');
}

function fileOf(path: string): string {
  return fileURLToPath(new URL(`../${path}`, import.meta.url));
}

if (import.meta.main && !process.argv.includes('--check')) {
  for (const [path, print] of Object.entries(pages)) writeFileSync(fileOf(path), print());
}
