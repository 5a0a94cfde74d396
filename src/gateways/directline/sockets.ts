// The open WebSockets of pages. One page is one `sid`; its newest socket hears, an older one is silent: the common client
// opens a second one beside the first when it is given a new token, and would show everything twice. The older one is not
// closed at once, because the client would reconnect it within seconds, for ever; it goes together with the newer one.
//
//   open --a newer one of the page--> silent --the newer one closes, or the token's time is over--> closed
//
// Empty frames keep proxies awake; a socket that answers no ping for a while is dead. One timer serves all of them.
import { type IncomingMessage, STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import { WebSocket, WebSocketServer } from 'ws';
import type { Stream } from '../../assistant/conversations/streams.ts';
import { Refusal, refusals } from '../../kit/refusal.ts';
import type { DoorSignal } from './answers.ts';
import { toRefusal } from './answers.ts';
import { frame } from './conversations.ts';
import type { DirectLineDeps } from './door.ts';
import { checkOrigin } from './origins.ts';
import { PREFIX } from './routing.ts';
import type { Claims } from './tokens.ts';
import { numberOf, placeOf } from './watermark.ts';

export type SocketSignal =
  | { readonly name: 'directline.opened'; readonly open: number }
  | { readonly name: 'directline.closed'; readonly open: number; readonly reason: string };

type Open = {
  readonly socket: WebSocket;
  readonly page: Page;
  /** Which of the rounds of the timer looks after it. */
  readonly round: number;
  stream: Stream | undefined;
  answered: boolean;
  reason: string;
};

/** The sockets of one `sid`, oldest first. */
type Page = { readonly sid: string; expiresAt: number; readonly opens: Set<Open> };

const STREAM_PATH = new RegExp(`^${PREFIX}/conversations/([^/]+)/stream$`);
const KEEP_ALIVE_ROUNDS = 20;
const ROUND_MS = 1_000;
/** What may wait for a slow client; then it is told nothing until it has caught up. */
const MAX_WAITING_BYTES = 512 * 1024;
const CLOSE_WITHIN_MS = 500;
const CLOSE_OK = 1000;
const CLOSE_GOING_AWAY = 1001;
const CLOSE_POLICY = 1008;

export class Sockets {
  readonly #deps: DirectLineDeps;
  // Clients send nothing but empty frames.
  readonly #server = new WebSocketServer({ noServer: true, maxPayload: 1024, perMessageDeflate: false });
  readonly #pages = new Map<string, Page>();
  readonly #opens = new Set<Open>();
  readonly #timer: NodeJS.Timeout;
  #round = 0;
  #counter = 0;
  #stopped = false;

  constructor(deps: DirectLineDeps) {
    this.#deps = deps;
    this.#timer = setInterval(() => this.#lookAfter(), ROUND_MS).unref();
  }

  /** Closes all of them; who does not answer within half a second is cut. */
  async stop(): Promise<void> {
    if (this.#stopped) return;
    this.#stopped = true;
    clearInterval(this.#timer);
    const opens = [...this.#opens];
    const closed = Promise.all(opens.map(({ socket }) => new Promise((resolve) => socket.once('close', resolve))));
    for (const open of opens) this.#end(open, CLOSE_GOING_AWAY, 'the server stops');
    const cut = setTimeout(() => opens.map(({ socket }) => socket.terminate()), CLOSE_WITHIN_MS);
    await closed;
    clearTimeout(cut);
    this.#server.close();
  }

  get size(): number {
    return this.#opens.size;
  }

  /** The page has a newer token. */
  extend(sid: string, expiresAt: number): void {
    const page = this.#pages.get(sid);
    if (page) page.expiresAt = Math.max(page.expiresAt, expiresAt);
  }

  /** For the server's event of this name: everything that is no stream of ours is refused. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on('error', () => socket.destroy());
    this.#admit(request).then(
      ({ claims, after }) => this.#server.handleUpgrade(request, socket, head, (ws) => this.#open(ws, claims, after)),
      (error: unknown) => refuse(socket, this.#told(error)),
    );
  }

  #told(error: unknown): Refusal {
    const refusal = toRefusal(error);
    if (!refusal) this.#deps.emit({ name: 'directline.failed', route: 'stream', error } satisfies DoorSignal);
    return refusal ?? new Refusal('internal_error', 'The server failed; its log says why.');
  }

  async #admit(request: IncomingMessage): Promise<{ claims: Claims; after: number }> {
    const url = new URL(request.url ?? '/', 'http://any');
    const [, conversationId] = STREAM_PATH.exec(url.pathname) ?? [];
    if (conversationId === undefined) throw new Refusal('not_found', 'There is no stream at this path.');
    if (this.#stopped) throw new Refusal('stopping', 'The server is stopping.');
    const token = url.searchParams.get('t');
    if (!token) throw new Refusal('key_missing', 'The address of a stream has a token: ?t=<token>.');
    const claims = await this.#deps.tokens.verify(token);
    if (claims.conversationId !== conversationId)
      throw new Refusal('token_invalid', 'The token is for another conversation.');
    const { origin, host } = request.headers;
    checkOrigin(this.#deps.origins, { origin, host }, claims.origins);
    return { claims, after: await this.#placeOf(conversationId, url.searchParams.get('watermark') ?? undefined) };
  }

  /** Where the database does not answer, the client's word is taken; the stream reads when it does. */
  async #placeOf(conversationId: string, watermark: string | undefined): Promise<number> {
    try {
      return await placeOf(this.#deps.exchange.database, conversationId, watermark);
    } catch (error) {
      const given = numberOf(watermark);
      if (given === undefined || toRefusal(error)?.code !== 'busy') throw error;
      return given;
    }
  }

  #open(socket: WebSocket, { sid, conversationId, expiresAt }: Claims, after: number): void {
    const page = this.#pages.get(sid) ?? { sid, expiresAt, opens: new Set() };
    this.#pages.set(sid, page);
    page.expiresAt = Math.max(page.expiresAt, expiresAt);
    const round = this.#counter++ % KEEP_ALIVE_ROUNDS;
    const open: Open = { socket, page, round, stream: undefined, answered: true, reason: 'the client left' };
    socket.on('message', () => {
      open.answered = true;
    });
    socket.on('pong', () => {
      open.answered = true;
    });
    socket.on('error', () => socket.terminate());
    socket.on('close', () => this.#closed(open));
    for (const older of page.opens) silence(older);
    page.opens.add(open);
    this.#opens.add(open);
    this.#deps.emit({ name: 'directline.opened', open: this.#opens.size });
    this.#listen(open, conversationId, after);
  }

  #listen(open: Open, conversationId: string, after: number): void {
    const { socket } = open;
    const send = (text: string) => {
      if (socket.readyState === WebSocket.OPEN) socket.send(text);
    };
    try {
      open.stream = this.#deps.exchange.streams.open(conversationId, after, {
        send: (said, sequence) => send(said.length === 0 ? '' : frame(said, sequence)),
        pass: (said, sequence) => send(frame([said], sequence)),
        hasRoom: () => socket.bufferedAmount < MAX_WAITING_BYTES,
        end: (why) =>
          this.#end(open, CLOSE_GOING_AWAY, `the ${why === 'gone' ? 'conversation is gone' : 'server stops'}`),
      });
    } catch (error) {
      this.#end(open, 1013, this.#told(error).message);
    }
  }

  #closed(open: Open): void {
    if (!this.#opens.delete(open)) return;
    const { page } = open;
    const wasHearing = open.stream !== undefined;
    silence(open);
    page.opens.delete(open);
    // A silent one would go on in silence: the client is to reconnect from where it is.
    if (wasHearing) for (const older of page.opens) this.#end(older, CLOSE_OK, 'replaced');
    if (page.opens.size === 0) this.#pages.delete(page.sid);
    this.#deps.emit({ name: 'directline.closed', open: this.#opens.size, reason: open.reason });
  }

  #end(open: Open, code: number, reason: string): void {
    open.reason = reason;
    silence(open);
    open.socket.close(code, reason.slice(0, 120));
  }

  #lookAfter(): void {
    this.#round = (this.#round + 1) % KEEP_ALIVE_ROUNDS;
    const now = Date.now();
    for (const open of this.#opens) {
      if (open.page.expiresAt <= now) this.#end(open, CLOSE_POLICY, 'the token has expired');
      if (open.round === this.#round) this.#keepAlive(open);
    }
  }

  #keepAlive(open: Open): void {
    if (!open.answered || open.socket.readyState !== WebSocket.OPEN) {
      open.reason = 'the client does not answer';
      open.socket.terminate();
      return;
    }
    open.answered = false;
    open.socket.ping();
    open.socket.send('');
  }
}

function silence(open: Open): void {
  open.stream?.close();
  open.stream = undefined;
}

/** Before the upgrade a refusal is an ordinary answer. */
function refuse(socket: Duplex, { code, message }: Refusal): void {
  const { status } = refusals[code];
  const body = JSON.stringify({ error: { code, message } });
  const head = `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\ncontent-type: application/json\r\nconnection: close\r\n`;
  socket.end(`${head}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
}
