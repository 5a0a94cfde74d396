// A real Chromium, the system's own, and what its pages complained about.
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { type Browser, type BrowserContext, type BrowserContextOptions, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, expect } from 'vitest';
import { findProgram } from '../../scripts/tools.ts';
import { ensurePages } from '../../src/main/pages.ts';
import { ServerProcess } from '../support/server-process.ts';

const FLAGS = [
  ...['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run'],
  ...['--disable-background-networking', '--disable-component-update', '--disable-sync'],
];

export function startChromium(): Promise<Browser> {
  return chromium.launch({ executablePath: chromiumPath(), args: FLAGS });
}

export function chromiumPath(): string {
  const path = findProgram(['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable']);
  if (path === undefined) throw new Error('There is no Chromium on the PATH.');
  return path;
}

/** Call at the top of a test file: a server with its pages and a Chromium, handed over before the first test. */
export function useSite(opened: (server: ServerProcess, browser: Browser) => unknown): void {
  const stack = new AsyncDisposableStack();
  beforeAll(async () => {
    await ensurePages();
    const server = stack.use(await ServerProcess.start());
    const browser = await startChromium();
    stack.defer(() => browser.close());
    await opened(server, browser);
  });
  afterAll(() => stack.disposeAsync());
}

/** One person's browser: its own cookies, and everything its pages complained about on their console. */
export class Visitor implements AsyncDisposable {
  readonly context: BrowserContext;
  readonly complaints: string[] = [];

  private constructor(context: BrowserContext) {
    this.context = context;
    context.on('console', (message) => {
      if (['error', 'warning'].includes(message.type())) this.complaints.push(message.text());
    });
    context.on('weberror', (problem) => this.complaints.push(String(problem.error())));
  }

  static async come(browser: Browser, options: BrowserContextOptions = {}): Promise<Visitor> {
    const context = await browser.newContext({ locale: 'en-GB', reducedMotion: 'reduce', ...options });
    context.setDefaultTimeout(30_000);
    return new Visitor(context);
  }

  /** Opens a one-time link: of a person, or of the platform team. */
  async signIn(server: ServerProcess, recipientId?: string): Promise<Page> {
    const body = recipientId === undefined ? { role: 'admin' } : { role: 'recipient', recipientId };
    const { url } = await server.call<{ url: string }>('POST', '/v1/sign-in-links', body);
    const page = await this.context.newPage();
    await page.goto(url);
    return page;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.context.close();
  }
}

type Violation = {
  readonly id: string;
  readonly help: string;
  readonly nodes: readonly { readonly html: string; readonly failureSummary?: string }[];
};

const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

// Fluent's focus sentinels pass the focus on at once; axe only sees that they can take it.
const RUN = "axe.run({ exclude: ['[data-tabster-dummy]'] }).then((results) => results.violations)";

// A colour on its way to another is neither.
const SETTLED =
  'new Promise(requestAnimationFrame).then(() => Promise.allSettled(document.getAnimations().filter((each) => Number.isFinite(each.effect.getComputedTiming().endTime)).map((each) => each.finished)))';

/** Fails with what axe finds: missing names, wrong roles, weak contrast, what the keyboard cannot reach. */
export async function expectAccessible(page: Page): Promise<void> {
  await page.evaluate(SETTLED);
  await page.evaluate(axe);
  const violations = await page.evaluate<Violation[]>(RUN);
  const told = violations.map(({ id, help, nodes }) => `${id}: ${help}\n${nodes.map(summary).join('\n')}`);
  expect.soft(told, page.url()).toEqual([]);
}

function summary({ html, failureSummary = '' }: Violation['nodes'][number]): string {
  return `  ${html.slice(0, 200)}\n  ${failureSummary.replaceAll('\n', ' ')}`;
}

/** Fails when the page is wider than its window. */
export async function expectNoSidewaysScroll(page: Page): Promise<void> {
  const [content, shown] = await page.evaluate<[number, number]>(
    '[document.documentElement.scrollWidth, document.documentElement.clientWidth]',
  );
  expect.soft(content, page.url()).toBeLessThanOrEqual(shown);
}
