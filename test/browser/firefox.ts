// A real Firefox, the system's own. Playwright drives only a Firefox of its own make, so this speaks WebDriver BiDi
// (https://w3c.github.io/webdriver-bidi/), as much as a test needs: go somewhere, run a script, press a button.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { WebSocket } from 'ws';
import { findProgram } from '../../scripts/tools.ts';
import { eventually } from '../support/eventually.ts';

export type Preferences = Readonly<Record<string, string | number | boolean>>;

const quiet: Preferences = {
  'app.update.enabled': false,
  'browser.shell.checkDefaultBrowser': false,
  'browser.startup.page': 0,
  'datareporting.policy.dataSubmissionEnabled': false,
  'remote.prefs.recommended': true,
  'toolkit.telemetry.reportingpolicy.firstRun': false,
};

type Answer = { readonly id?: number; readonly type: string; readonly result?: unknown; readonly message?: string };
type Tree = { readonly contexts: readonly { readonly context: string; readonly url: string }[] };
type Evaluated =
  | { readonly type: 'success'; readonly result: { readonly value?: string } }
  | { readonly type: 'exception'; readonly exceptionDetails: { readonly text: string } };

export class Firefox implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #folder: string;
  #socket!: WebSocket;
  #context = '';
  #lastId = 0;
  readonly #waiting = new Map<number, (answer: Answer) => void>();

  private constructor(child: ChildProcess, folder: string) {
    this.#child = child;
    this.#folder = folder;
  }

  static async start(preferences: Preferences, env: NodeJS.ProcessEnv = {}): Promise<Firefox> {
    const program = findProgram(['firefox', 'firefox-esr']);
    if (program === undefined) throw new Error('There is no Firefox on the PATH.');
    const folder = await mkdtemp(join(tmpdir(), 'carillon-firefox-'));
    const lines = Object.entries({ ...quiet, ...preferences }).map(
      ([name, value]) => `user_pref(${JSON.stringify(name)}, ${JSON.stringify(value)});`,
    );
    await writeFile(join(folder, 'user.js'), lines.join('\n'));
    const args = ['--headless', '--no-remote', '--profile', folder, '--remote-debugging-port=0', 'about:blank'];
    const child = spawn(program, args, {
      env: { ...process.env, HOME: folder, MOZ_HEADLESS: '1', ...env },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    const firefox = new Firefox(child, folder);
    await firefox.#connect();
    return firefox;
  }

  /** Shows the pushes that this stand-in hands on, and shows them on this desktop. */
  static startPushed(
    autopush: { readonly url: string },
    desktop: { readonly env: NodeJS.ProcessEnv },
  ): Promise<Firefox> {
    const preferences = {
      'alerts.useSystemBackend': true,
      'dom.push.connection.enabled': true,
      'dom.push.enabled': true,
      'dom.push.serverURL': autopush.url,
      'dom.push.testing.allowInsecureServerURL': true,
      'dom.push.userAgentID': '',
      'permissions.default.desktop-notification': 1,
    };
    return Firefox.start(preferences, desktop.env);
  }

  async goto(url: string): Promise<void> {
    await this.#call('browsingContext.navigate', { context: this.#context, url, wait: 'complete' });
  }

  /** The value of an expression, which may be a promise; it runs as if the person had just pressed something. */
  async evaluate<T>(expression: string): Promise<T> {
    const answer = (await this.#call('script.evaluate', {
      expression: `Promise.resolve(${expression}).then((value) => JSON.stringify(value ?? null))`,
      target: { context: this.#context },
      awaitPromise: true,
      userActivation: true,
    })) as Evaluated;
    if (answer.type === 'exception') throw new Error(answer.exceptionDetails.text);
    return JSON.parse(answer.result.value ?? 'null') as T;
  }

  /** Waits until the page says so. */
  async waitFor(text: string): Promise<void> {
    await eventually(async () => {
      const said = await this.evaluate<string>('document.body.innerText');
      if (!said.includes(text)) throw new Error(`The page does not say "${text}" but:\n${said}`);
    }, 30_000);
  }

  /** Presses the first button, link or menu item of this name. */
  async press(name: string): Promise<void> {
    const named = `[...document.querySelectorAll('button, a, [role=menuitem]')].find((each) => (each.ariaLabel ?? each.innerText).trim() === ${JSON.stringify(name)})`;
    await eventually(async () => {
      if (!(await this.evaluate<boolean>(`(${named})?.click() ?? Boolean(${named})`)))
        throw new Error(`There is no button "${name}".`);
    }, 30_000);
  }

  /** Of all its tabs. */
  async addresses(): Promise<string[]> {
    const { contexts } = (await this.#call('browsingContext.getTree', {})) as Tree;
    return contexts.map(({ url }) => url);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket?.close();
    const gone = this.#child.exitCode === null ? once(this.#child, 'exit') : undefined;
    this.#child.kill();
    await gone;
    await rm(this.#folder, { recursive: true, force: true, maxRetries: 5 });
  }

  async #connect(): Promise<void> {
    this.#socket = new WebSocket(`${await this.#address()}/session`);
    await once(this.#socket, 'open');
    this.#socket.on('message', (data) => {
      const answer = JSON.parse(String(data)) as Answer; // that is the protocol
      if (answer.id !== undefined) this.#waiting.get(answer.id)?.(answer);
    });
    await this.#call('session.new', { capabilities: {} });
    const { contexts } = (await this.#call('browsingContext.getTree', {})) as Tree;
    this.#context = contexts[0]!.context; // the one window that it starts with
  }

  #address(): Promise<string> {
    return new Promise((resolve, reject) => {
      let said = '';
      this.#child.once('exit', () => reject(new Error(`Firefox ended:\n${said}`)));
      this.#child.stderr!.on('data', (piece: Buffer) => {
        said = (said + piece.toString()).slice(-20_000);
        const address = /WebDriver BiDi listening on (ws:\S+)/.exec(said)?.[1];
        if (address !== undefined) resolve(address);
      });
    });
  }

  #call(method: string, params: object): Promise<unknown> {
    this.#lastId += 1;
    const id = this.#lastId;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, (answer) => {
        this.#waiting.delete(id);
        if (answer.type === 'error') reject(new Error(`${method}: ${answer.message}`));
        else resolve(answer.result);
      });
      this.#socket.send(JSON.stringify({ id, method, params }));
    });
  }
}
