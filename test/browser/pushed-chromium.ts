// A real Chromium that can be pushed to: with a profile of its own (a private window has no push service), the background
// traffic that Playwright switches off, and a desktop that shows its notifications.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type BrowserContext, chromium, type Page } from 'playwright-core';
import { chromiumPath } from './browser.ts';

type Options = {
  readonly flags: readonly string[];
  readonly desktop: { readonly env: NodeJS.ProcessEnv };
  /** May show notifications without asking. */
  readonly origin: string;
};

export class PushedChromium implements AsyncDisposable {
  readonly context: BrowserContext;
  readonly page: Page;
  readonly #folder: string;

  private constructor(context: BrowserContext, page: Page, folder: string) {
    this.context = context;
    this.page = page;
    this.#folder = folder;
  }

  static async start({ flags, desktop, origin }: Options): Promise<PushedChromium> {
    const folder = await mkdtemp(join(tmpdir(), 'carillon-chromium-'));
    const env = Object.entries({ ...process.env, ...desktop.env }).filter(([, value]) => value !== undefined);
    const context = await chromium.launchPersistentContext(folder, {
      executablePath: chromiumPath(),
      headless: false, // Playwright's headless is another browser; this one is told so by its own switch
      ignoreDefaultArgs: ['--disable-background-networking'],
      args: ['--headless=new', '--no-sandbox', '--disable-gpu', '--disable-quic', ...flags],
      env: Object.fromEntries(env) as Record<string, string>, // only undefined ones were dropped
      locale: 'en-GB',
      reducedMotion: 'reduce',
    });
    await context.grantPermissions(['notifications'], { origin });
    return new PushedChromium(context, context.pages()[0] ?? (await context.newPage()), folder);
  }

  async goto(url: string): Promise<void> {
    await this.page.goto(url);
  }

  evaluate<T>(expression: string): Promise<T> {
    return this.page.evaluate<T>(expression);
  }

  async waitFor(text: string): Promise<void> {
    await this.page.getByText(text).first().waitFor();
  }

  async press(name: string): Promise<void> {
    await this.page
      .getByRole('button', { name, exact: true })
      .or(this.page.getByRole('menuitem', { name, exact: true }))
      .click();
  }

  /** Of all its tabs. */
  async addresses(): Promise<string[]> {
    return this.context.pages().map((page) => page.url());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.context.close();
    await rm(this.#folder, { recursive: true, force: true, maxRetries: 5 });
  }
}
