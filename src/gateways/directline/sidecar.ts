// Where an agent in signed mode fetches the tokens that it sends to us, by the protocol of the Entra sidecar, which the
// Agents SDK speaks without any code. The protocol has no credentials of its own, so it is on a port of its own, on
// this machine only, and the path holds a secret of each agent: another program of the machine gets no token by guessing.
//   GET {SIDECAR_URL}/AuthorizationHeaderUnauthenticated/{service}?... -> { "authorizationHeader": "Bearer <jwt>" }
import { createHmac, timingSafeEqual } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { NamedAgent } from '../../assistant/agents/definition.ts';
import { type SigningDeps, tokenOfAgent } from '../../assistant/agents/signing.ts';
import type { Emit } from '../../kit/signals.ts';
import type { DoorSignal } from './answers.ts';

export type SidecarDeps = SigningDeps & {
  /** The same on all nodes, and at every start: the agents' settings hold what is made of it. */
  readonly secret: string;
  readonly emit: Emit<DoorSignal>;
};

const HOST = '127.0.0.1';

export class Sidecar {
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
  }

  /** Listens when it returns; 0 takes a free port. A taken port is thrown as Node's error. */
  static async start(deps: SidecarDeps, port: number): Promise<Sidecar> {
    const server = createServer((request, response) => {
      answer(deps, request, response).catch((error: unknown) => {
        deps.emit({ name: 'directline.failed', route: 'sidecar', error });
        end(response, 503);
      });
    });
    server.listen(port, HOST);
    await once(server, 'listening');
    return new Sidecar(server);
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port; // it listens on TCP
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}

/** What the agent has as SIDECAR_URL. */
export function sidecarUrl(secret: string, port: number, { name }: Pick<NamedAgent, 'name'>): string {
  return `http://${HOST}:${port}/${encodeURIComponent(name)}/${secretOf(secret, name)}`;
}

async function answer(deps: SidecarDeps, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const [, name, given, call] = new URL(request.url ?? '/', 'http://any').pathname.split('/');
  const agent = deps.agents.find((each) => encodeURIComponent(each.name) === name);
  if (request.method !== 'GET' || !agent || agent.auth === 'anonymous' || !isSecret(deps, agent, given))
    return end(response, 404);
  if (call === 'healthz') return end(response, 200, { status: 'ok' });
  if (call !== 'AuthorizationHeaderUnauthenticated' && call !== 'AuthorizationHeader') return end(response, 404);
  const token = await tokenOfAgent(deps, agent.auth.clientId);
  end(response, 200, { authorizationHeader: `Bearer ${token}` });
}

function isSecret({ secret }: SidecarDeps, { name }: NamedAgent, given = ''): boolean {
  const [expected, actual] = [secretOf(secret, name), given].map((each) => Buffer.from(each));
  return expected!.length === actual!.length && timingSafeEqual(expected!, actual!);
}

function secretOf(secret: string, name: string): string {
  return createHmac('sha256', secret).update(`sidecar of ${name}`).digest('base64url').slice(0, 32);
}

function end(response: ServerResponse, status: number, body?: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store' });
  response.end(body === undefined ? '' : JSON.stringify(body));
}
