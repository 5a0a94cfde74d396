// The administration over HTTP: authorise, find what the path names, do it, print the answer as Atom. Errors are XML
// with a code and a detail, which becomes the message that programs show.
import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { TLSSocket } from 'node:tls';
import { Refusal, type RefusalCode, refusals } from '../../../kit/refusal.ts';
import { parseSasToken } from '../../../kit/sas.ts';
import { textTag } from '../../../kit/xml.ts';
import { isGranted, ROOT_RULE } from '../authority.ts';
import type { DoorDeps } from '../door.ts';
import type { Place } from './atom.ts';
import { operate } from './operations.ts';
import { grantedPath, type Route, routeOf } from './route.ts';
import { settingWords } from './setting-words.ts';

const MAX_BODY_BYTES = 1024 * 1024;
const BODY_WITHIN_MS = 30_000;

export type AdminRequest = {
  readonly method: 'GET' | 'PUT' | 'DELETE';
  readonly route: Route;
  readonly place: Place;
  readonly host: string;
  readonly skip: number;
  readonly top: number;
  /** `If-Match` was sent: an existing thing is to be changed. */
  readonly isUpdate: boolean;
  /** Refuses who may not send to the entity: its messages would be forwarded there. */
  readonly needSend: (to: 'forward' | 'forwardDead', entity: string) => Promise<void>;
  readonly body: string;
};

export type AdminAnswer = { readonly status: number; readonly body: string; readonly type?: string };

const ATOM = 'application/atom+xml;type=entry;charset=utf-8';

export async function answerHttp(deps: DoorDeps, request: IncomingMessage, response: ServerResponse): Promise<void> {
  try {
    const url = new URL(request.url ?? '/', 'http://door');
    if (url.pathname.toLowerCase() === '/health')
      return send(response, 200, '{"status":"healthy"}', 'application/json');
    const { status, body, type = ATOM } = await operate(deps, await read(deps, request, url));
    send(response, status, body, type);
  } catch (error) {
    if (!(error instanceof Refusal)) deps.emit({ name: 'servicebus.failed', where: 'administration', error });
    else deps.emit({ name: 'servicebus.refused', where: 'administration', condition: error.code });
    const { status, detail } = explain(error);
    send(response, status, errorBody(status, detail), 'application/xml;charset=utf-8');
  }
}

async function read(deps: DoorDeps, request: IncomingMessage, url: URL): Promise<AdminRequest> {
  const method = request.method ?? '';
  if (method !== 'GET' && method !== 'PUT' && method !== 'DELETE')
    throw new Refusal('method_not_allowed', `The administration has no method ${method.slice(0, 20)}.`);
  const host = request.headers.host ?? 'localhost';
  const route = routeOf(url.pathname);
  await authorize(deps, request, url, route);
  const scheme = (request.socket as TLSSocket).encrypted ? 'https' : 'http';
  return {
    method,
    route,
    place: { origin: `${scheme}://${host}`, apiVersion: url.searchParams.get('api-version') ?? '2021-05' },
    host: host.replace(/:\d+$/, ''),
    skip: numberOf(url, '$skip', 0, Number.MAX_SAFE_INTEGER),
    top: numberOf(url, '$top', 100, 100, 1),
    isUpdate: request.headers['if-match'] !== undefined,
    needSend: (to, entity) => needSend(deps, request, SUPPLEMENTARY[to], entity),
    body: method === 'PUT' ? await readBody(request) : '',
  };
}

async function authorize(deps: DoorDeps, request: IncomingMessage, url: URL, route: Route): Promise<void> {
  const header = request.headers.authorization ?? '';
  const path = grantedPath(route);
  const audience = `sb://door/${decodeURIComponent(url.pathname).replace(/^\/+/, '')}`;
  const bearer = /^Bearer\s+(.+)$/i.exec(header)?.[1];
  const grant = bearer
    ? await deps.authority.byBearer(bearer, `sb://door/${path}`)
    : await deps.authority.bySas(header, audience);
  if (isGranted([{ ...grant, path: path.toLowerCase() }], 'Manage', path, deps.now())) return;
  throw new Refusal('right_missing', `Manage claim is required for this operation. Resource: '${path}'.`);
}

/** Where clients prove that they may send to the destination of a forwarding. */
const SUPPLEMENTARY = {
  forward: 'servicebussupplementaryauthorization',
  forwardDead: 'servicebusdlqsupplementaryauthorization',
} as const;

/** The key of the namespace, or one of ours, speaks for itself; that of an entity does not reach others. */
async function needSend(deps: DoorDeps, request: IncomingMessage, header: string, entity: string): Promise<void> {
  const own = request.headers.authorization ?? '';
  const more = request.headers[header];
  const bearer = /^Bearer\s+(.+)$/i.exec(own)?.[1];
  const audience = `sb://door/${entity}`;
  if (parseSasToken(own)?.keyName === ROOT_RULE) return;
  const grant = bearer
    ? await deps.authority.byBearer(bearer, audience)
    : typeof more === 'string' && (await deps.authority.bySas(more, audience, request.headers.host));
  if (grant && isGranted([grant], 'Send', entity, deps.now())) return;
  throw new Refusal('right_missing', `Send claim is required to forward messages there. Resource: '${entity}'.`);
}

function numberOf(url: URL, name: string, otherwise: number, most: number, least = 0): number {
  const text = url.searchParams.get(name);
  if (text === null) return otherwise;
  if (!/^\d{1,9}$/.test(text) || Number(text) < least)
    throw new Refusal('bad_request', `The value of '${name}' is no whole number from ${least} on.`);
  return Math.min(Number(text), most);
}

function readBody(request: IncomingMessage): Promise<string> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const fail = (code: RefusalCode, words: string) => {
      request.removeAllListeners('data');
      request.resume();
      reject(new Refusal(code, words));
    };
    const late = setTimeout(() => fail('request_timeout', 'The body did not arrive in time.'), BODY_WITHIN_MS);
    request.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size > MAX_BODY_BYTES) fail('too_large', `A body has at most ${MAX_BODY_BYTES} bytes.`);
      else chunks.push(chunk);
    });
    request.once('end', () => resolve(Buffer.concat(chunks).toString('utf8')));
    request.once('error', reject);
    request.once('close', () => clearTimeout(late));
  });
}

/** Clients tell these apart by status, and in a few cases by a sub-code in the detail. */
function explain(error: unknown): { status: number; detail: string } {
  if (!(error instanceof Refusal)) return { status: 500, detail: 'The server failed at this; its log says why.' };
  if (error.code === 'right_missing') return { status: 401, detail: error.message };
  if (error.code === 'entity_disabled') return { status: 400, detail: error.message };
  if (error.code === 'invalid_setting' || error.code === 'conflict')
    return { status: 400, detail: settingWords(error) ?? error.message };
  return { status: refusals[error.code].status, detail: error.message };
}

function errorBody(status: number, detail: string): string {
  const at = new Date().toISOString().slice(0, 19);
  const tracked = `${detail} TrackingId:${randomUUID()}, SystemTracker:carillon, Timestamp:${at}`;
  return `<Error>${textTag('Code', status)}${textTag('Detail', tracked)}</Error>`;
}

function send(response: ServerResponse, status: number, body: string, type: string): void {
  response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(body) });
  response.end(body);
}
