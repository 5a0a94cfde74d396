// A mail server for tests: real SMTP on a real port, by the `smtp-server` package. It accepts everything and remembers
// it, unless the test says what to answer. It can be killed and started again on its port.
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { SMTPServer, type SMTPServerOptions } from 'smtp-server';
import { freePort } from './free-port.ts';

export type ReceivedMail = {
  readonly from: string;
  readonly to: readonly string[];
  readonly raw: string;
  /** Header names in lower case; folded lines joined. */
  readonly headers: ReadonlyMap<string, string>;
};

/** An answer other than 250: thrown by the hooks. */
export class Reply extends Error {
  readonly responseCode: number;

  constructor(responseCode: number, text: string) {
    super(text);
    this.responseCode = responseCode;
  }
}

export type MailHooks = {
  onRecipient?: (address: string) => void | Promise<void>;
  onMail?: (mail: ReceivedMail) => void | Promise<void>;
  onSender?: (address: string) => void;
  login?: (user: string, password: string) => boolean;
};

export class MailServer {
  readonly accepted: ReceivedMail[] = [];
  hooks: MailHooks;
  connections = 0;
  #server: SMTPServer | undefined;
  readonly #port: number;

  private constructor(hooks: MailHooks, port: number) {
    this.hooks = hooks;
    this.#port = port;
  }

  static async start(hooks: MailHooks = {}): Promise<MailServer> {
    const server = new MailServer(hooks, await freePort());
    await server.start();
    return server;
  }

  get url(): string {
    return `smtp://127.0.0.1:${this.#port}`;
  }

  get messageIds(): string[] {
    return this.accepted.map((mail) => mail.headers.get('message-id') ?? '');
  }

  /** Listens (again). */
  async start(): Promise<void> {
    const server = new SMTPServer(this.#options());
    server.on('error', () => {}); // a client that was cut off
    this.#server = server;
    server.listen(this.#port, '127.0.0.1');
    await once(server.server, 'listening');
  }

  /** Gone at once: every connection is cut, new ones are refused. */
  async kill(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (!server) return;
    this.cutAll(server);
    await new Promise<void>((resolve) => server.close(() => resolve()));
  }

  /** Cuts every open connection without a word. */
  cutAll(server = this.#server): void {
    type Connection = { _socket: Socket };
    for (const connection of server?.connections ?? []) (connection as unknown as Connection)._socket.destroy();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.kill();
  }

  #options(): SMTPServerOptions {
    const { hooks } = this;
    return {
      authOptional: !hooks.login,
      disabledCommands: ['STARTTLS'],
      disableReverseLookup: true,
      allowInsecureAuth: true,
      closeTimeout: 50,
      logger: false,
      onConnect: (_session, callback) => {
        this.connections++;
        callback();
      },
      onAuth: (auth, _session, callback) => {
        if (this.hooks.login?.(auth.username ?? '', auth.password ?? '')) callback(null, { user: auth.username });
        else callback(new Error('Authentication credentials invalid'));
      },
      onMailFrom: (address, _session, callback) => answer(() => this.hooks.onSender?.(address.address), callback),
      onRcptTo: (address, _session, callback) => answer(() => this.hooks.onRecipient?.(address.address), callback),
      onData: (stream, session, callback) => {
        const chunks: Buffer[] = [];
        stream.on('data', (chunk: Buffer) => chunks.push(chunk));
        stream.on('end', () => {
          const { mailFrom, rcptTo } = session.envelope;
          const to = rcptTo.map((each) => each.address);
          const from = mailFrom ? mailFrom.address : '';
          void this.#take(parse(Buffer.concat(chunks).toString(), from, to), callback);
        });
      },
    };
  }

  async #take(mail: ReceivedMail, callback: (error?: Error | null) => void): Promise<void> {
    await answer(async () => {
      await this.hooks.onMail?.(mail);
      this.accepted.push(mail);
    }, callback);
  }
}

async function answer(work: () => unknown, callback: (error?: Error | null) => void): Promise<void> {
  try {
    await work();
    callback();
  } catch (error) {
    callback(error as Error);
  }
}

function parse(raw: string, from: string, to: readonly string[]): ReceivedMail {
  const head = raw.slice(0, raw.indexOf('\r\n\r\n')).replaceAll(/\r\n[ \t]+/g, ' ');
  const headers = new Map<string, string>();
  for (const line of head.split('\r\n')) {
    const colon = line.indexOf(':');
    headers.set(line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim());
  }
  return { from, to, raw, headers };
}
