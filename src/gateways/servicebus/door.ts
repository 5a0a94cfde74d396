// The Service Bus door: one port on which AMQP, AMQP over WebSockets and the administration over HTTP arrive, plain or
// in TLS, and a second HTTP port as the vendor's emulator has it. It translates; topics/ does the work.
import { hkdfSync } from 'node:crypto';
import { createServer as createHttpServer, type Server as HttpServer } from 'node:http';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { createSecureContext, type SecureContext } from 'node:tls';
import type { Access } from '../../access/access.ts';
import type { Database } from '../../kit/database.ts';
import { migratedSince } from '../../kit/migrate.ts';
import type { Broker } from '../../topics/broker.ts';
import type { Topics } from './address.ts';
import { answerHttp } from './admin/answer.ts';
import { acceptAmqp } from './amqp/engine.ts';
import type { WireConnection } from './amqp/link.ts';
import { Authority } from './authority.ts';
import { connectionString } from './connection-string.ts';
import { EntityRecords } from './entity-records.ts';
import { Claims } from './eventhub/claims.ts';
import { Epochs } from './eventhub/epochs.ts';
import { type KeptCertificate, keptCertificate } from './kept-certificate.ts';
import { Peer } from './peer.ts';
import { RootKeyRing } from './root-keys.ts';
import { saslMechanisms } from './sasl.ts';
import type { EmitServiceBus } from './signals.ts';
import { sniff } from './sniff.ts';
import { WebSocketDoor } from './websocket.ts';

export type StartOptions = {
  readonly broker: Broker;
  readonly database: Database;
  readonly access: Access;
  readonly emit: EmitServiceBus;
  /** The configured key of RootManageSharedAccessKey (root-keys.ts). */
  readonly rootKey: string;
  /** A secret that the nodes of one database share: keys of authorization rules are encrypted with it. */
  readonly secret: string;
  /** Where the certificate is kept. */
  readonly folder: string;
  readonly host: string;
  readonly port: number;
  /** The second HTTP port; undefined for none. */
  readonly httpPort?: number | undefined;
  /** AMQP connections at once; one more is told so and closed. */
  readonly maxConnections?: number | undefined;
  /** Authorization rules of one topic or queue. */
  readonly maxRules?: number | undefined;
  /** How long a connection may stay without any valid token, or without a word while HTTP waits for one. */
  readonly patienceMs?: number;
  readonly now?: () => Date;
};

export type DoorDeps = {
  readonly broker: Broker;
  readonly topics: Topics;
  readonly records: EntityRecords;
  readonly authority: Authority;
  readonly rootKeys: RootKeyRing;
  readonly epochs: Epochs;
  readonly maxRules: number;
  readonly patienceMs: number;
  readonly emit: EmitServiceBus;
  /** Since when there is this namespace. */
  readonly since: () => Promise<Date>;
  readonly now: () => Date;
};

const PATIENCE_MS = 60_000;
const SWEEPS = 4; // of the connections without a token, in that time

export class ServiceBusDoor {
  readonly #deps: DoorDeps;
  readonly #options: StartOptions;
  readonly #context: SecureContext;
  readonly #claims: Claims;
  /** The file that clients must trust, as in NODE_EXTRA_CA_CERTS. */
  readonly caFile: string;
  readonly #peers = new Set<Peer>();
  readonly #sockets = new Set<Socket>();
  readonly #http: HttpServer;
  readonly #servers: Server[] = [];
  readonly #sweep: NodeJS.Timeout;
  #primaryKey: string;
  #stopped: Promise<void> | undefined;

  private constructor(options: StartOptions, certificate: KeptCertificate) {
    const now = options.now ?? (() => new Date());
    const { broker, database, access, emit } = options;
    const topics = topicsOf(broker);
    const secret = Buffer.from(hkdfSync('sha256', options.secret, '', 'servicebus rules', 32));
    const records = new EntityRecords(database, secret);
    const ring = new RootKeyRing(records, options.rootKey, now);
    const rootKeys = async () => Object.values(await ring.current()).filter((key) => key !== undefined);
    const authority = new Authority({ access, records, topics, rootKeys, now });
    this.#claims = new Claims(database, broker.nodeId);
    const { patienceMs = PATIENCE_MS } = options;
    this.#deps = {
      broker,
      topics,
      records,
      authority,
      rootKeys: ring,
      epochs: new Epochs({
        claims: this.#claims,
        alone: () => broker.alone,
        failed: (error) => emit({ name: 'servicebus.failed', where: 'the claims of readers', error }),
      }),
      maxRules: options.maxRules ?? 12,
      patienceMs,
      emit,
      since: () => migratedSince(database),
      now,
    };
    this.#options = options;
    this.#primaryKey = options.rootKey;
    this.#context = createSecureContext(certificate);
    this.caFile = certificate.caFile;
    this.#http = createHttpServer((request, response) => void answerHttp(this.#deps, request, response));
    // Node's own limits of headers and requests hold only for a server that listens by itself.
    this.#http.setTimeout(patienceMs);
    const webSockets = new WebSocketDoor((stream) => this.#accept(stream));
    this.#http.on('upgrade', (request, socket, head) => webSockets.upgrade(request, socket, head));
    this.#http.on('clientError', (_error, socket) => socket.destroy());
    this.#sweep = setInterval(() => {
      for (const peer of this.#peers) peer.sweep(now());
    }, patienceMs / SWEEPS).unref();
  }

  /** Listens when it returns. Throws the error of a port that is taken, with its `port`. */
  static async start(options: StartOptions): Promise<ServiceBusDoor> {
    const certificate = await keptCertificate(options.folder, options.host, options.now?.() ?? new Date());
    const door = new ServiceBusDoor(options, certificate);
    try {
      await door.#claims.dropAll();
      door.#primaryKey = (await door.#deps.rootKeys.current()).primary;
      await door.#listen(options.port);
      if (options.httpPort !== undefined) await door.#listen(options.httpPort);
    } catch (error) {
      await door.stop();
      throw error;
    }
    return door;
  }

  get port(): number {
    return (this.#servers[0]!.address() as AddressInfo).port;
  }

  get httpPort(): number | undefined {
    return (this.#servers[1]?.address() as AddressInfo | undefined)?.port;
  }

  /** What programs put into their configuration, with the primary key as it was at the start. */
  get connectionString(): string {
    return connectionString(this.#options.host, this.port, this.#primaryKey);
  }

  async #listen(port: number): Promise<void> {
    const server = createServer({ noDelay: true }, (socket) => this.#sniff(socket));
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, this.#options.host, resolve);
    });
    this.#servers.push(server);
  }

  #sniff(socket: Socket): void {
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
    sniff(socket, {
      amqp: (inner) => this.#accept(inner),
      http: (inner) => this.#http.emit('connection', inner),
      secureContext: () => this.#context,
      broken: (error) => this.#deps.emit({ name: 'servicebus.malformed', reason: error.message }),
    });
  }

  #accept(socket: Duplex): void {
    let peer: Peer;
    acceptAmqp(socket, {
      mechanisms: (connection) => {
        peer = this.#prepare(connection);
        return saslMechanisms({
          check: (name, key) => this.#deps.authority.byPlain(name, key),
          granted: (grants) => peer.granted(grants),
          failed: () => void setTimeout(() => socket.destroy(), 200).unref(),
        });
      },
      prepare: (connection) => {
        connection.on('disconnected', () => this.#gone(peer));
        socket.once('close', () => this.#gone(peer));
      },
    });
  }

  #prepare(connection: WireConnection): Peer {
    const peer = new Peer(connection, this.#deps);
    this.#peers.add(peer);
    const most = this.#options.maxConnections ?? Infinity;
    if (this.#peers.size > most)
      connection.on('connection_open', () =>
        peer.close({
          condition: 'amqp:resource-limit-exceeded',
          description: `There are ${most} connections already, which is the most (CARILLON_AMQP_CONNECTIONS).`,
        }),
      );
    this.#deps.emit({ name: 'servicebus.connected', open: this.#peers.size });
    let broken = false;
    const malformed = (error: Error) => {
      if (broken) return; // Telling the client why may fail for the same reason.
      broken = true;
      this.#deps.emit({ name: 'servicebus.malformed', reason: error.message });
      peer.abort({ condition: 'amqp:connection:framing-error', description: error.message });
    };
    connection.on('protocol_error', malformed);
    connection.on('error', malformed);
    connection.on('connection_error', () => {});
    connection.on('connection_close', () => {});
    return peer;
  }

  #gone(peer: Peer): void {
    if (!this.#peers.delete(peer)) return;
    peer.ended();
    this.#deps.emit({ name: 'servicebus.disconnected', open: this.#peers.size });
  }

  /** Tells clients that they should come again later, and closes. May be called twice. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<void> {
    clearInterval(this.#sweep);
    const closing = this.#servers.map((server) => new Promise((resolve) => server.close(resolve)));
    for (const peer of this.#peers)
      peer.close({ condition: 'amqp:connection:forced', description: 'The server is stopping.' });
    this.#http.closeIdleConnections();
    if (this.#sockets.size > 0) await new Promise((resolve) => setTimeout(resolve, 100));
    for (const socket of this.#sockets) socket.destroy();
    await Promise.all(closing);
    await this.#deps.epochs.stop();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}

/** At most one look into the database is under way; who comes meanwhile shares the next one. */
function seeker(broker: Broker): () => Promise<void> {
  let running: Promise<void> | undefined;
  let next: Promise<void> | undefined;
  const look = (): Promise<void> => {
    running = broker.refresh().finally(() => {
      running = undefined;
    });
    return running;
  };
  return () => {
    if (!running) return look();
    next ??= running.then(() => {
      next = undefined;
      return look();
    });
    return next;
  };
}

function topicsOf(broker: Broker): Topics {
  const all = () => broker.listTopics({ limit: Number.MAX_SAFE_INTEGER }).items;
  return {
    topic: (name) => broker.topic(name),
    find: (name) => {
      try {
        return broker.topic(name);
      } catch {
        return undefined; // Its only refusal is that there is none.
      }
    },
    seek: seeker(broker),
    nameOf: (id) => all().find((entry) => entry.id === id)?.name,
  };
}
