// For tests of the notification hub's door: requests as Java's client makes them, over HTTP/2, signed with its encoding.
import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { type ClientHttp2Session, connect } from 'node:http2';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll } from 'vitest';
import { makeCertificate } from '../../src/kit/certificate.ts';
import { child, parseXml } from '../../src/kit/xml.ts';
import { type TestServer, useServer } from './http-server.ts';

export const full = { name: 'DefaultFullSharedAccessSignature', secret: 'full-key-of-the-tests' };
export const listen = { name: 'DefaultListenSharedAccessSignature', secret: 'listen-key-of-the-tests' };

type Ask = {
  readonly headers?: Record<string, string>;
  readonly body?: string | Buffer;
  readonly rule?: typeof full | undefined;
};
type DoorAnswer = { readonly status: number; readonly headers: Record<string, string>; readonly text: string };

export function useHubDoor(): {
  readonly http: TestServer;
  readonly origin: () => string;
  /** What clients have to trust. */
  readonly ca: string;
  readonly ask: (method: string, path: string, ask?: Ask) => Promise<DoorAnswer>;
} {
  const { ca, cert, key } = makeCertificate();
  const http = useServer({ tls: { port: 0, cert, key } });
  const origin = () => `https://localhost:${http.server.tlsPort}`;
  let session: ClientHttp2Session;
  beforeAll(() => {
    session = connect(origin(), { ca });
  });
  afterAll(() => new Promise<void>((resolve) => session.close(resolve)));

  async function ask(method: string, path: string, { headers = {}, body, rule = full }: Ask = {}) {
    const authorization = sign(origin() + path, rule);
    const stream = session.request({ ':method': method, ':path': path, authorization, ...headers });
    stream.end(body);
    const [answer] = await once(stream, 'response');
    return { status: answer[':status'] as number, headers: answer as Record<string, string>, text: await text(stream) };
  }
  return { http, origin, ca, ask };
}

/** As Java signs: the whole address, encoded, in lower case. */
function sign(address: string, { name, secret }: typeof full): string {
  const sr = encodeURIComponent(address).toLowerCase();
  const se = Math.floor(Date.now() / 1000) + 3600;
  const sig = encodeURIComponent(createHmac('sha256', secret).update(`${sr}\n${se}`).digest('base64'));
  return `SharedAccessSignature sr=${sr}&sig=${sig}&se=${se}&skn=${name}`;
}

export const connectSpace = 'http://schemas.microsoft.com/netservices/2010/10/servicebus/connect';
export const entry = (description: string) =>
  `<?xml version="1.0" encoding="utf-8"?><entry xmlns="http://www.w3.org/2005/Atom"><content type="application/xml">${description}</content></entry>`;
export const registrationOf = (xml: string) => child(parseXml(xml), 'content')!.children[0]!;
export const namesIn = (xml: string) => registrationOf(xml).children.map(({ name }) => name);
export const json = { 'content-type': 'application/json' };
export const atom = { 'content-type': 'application/atom+xml;type=entry;charset=utf-8' };
