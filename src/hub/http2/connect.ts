// Opens the TLS socket under a connection: TLS 1.2 or better, ALPN must agree on h2, and an address may be refused before a packet goes out.

import { lookup as dnsLookup, type LookupAddress } from 'node:dns';
import { isIP, type LookupFunction } from 'node:net';
import { type TLSSocket, connect as tlsConnect } from 'node:tls';
import type { Http2Options } from './port.ts';

/** Rejects with an Error whose `code` names the cause: the system's (`ECONNREFUSED`...), `NO_H2`, `ADDRESS_REFUSED` or `CONNECT_TIMEOUT`. */
export function connectTls(options: Http2Options): Promise<TLSSocket> {
  const refused = isIP(options.host) ? options.refuseAddress?.(options.host) : undefined;
  if (refused !== undefined) return Promise.reject(failure('ADDRESS_REFUSED', refused));
  const servername = options.servername ?? options.host;
  const socket = tlsConnect({
    host: options.host,
    port: options.port,
    // SNI must not be an address (RFC 6066); the certificate is still checked against the host.
    ...(isIP(servername) ? {} : { servername }),
    ALPNProtocols: ['h2'],
    minVersion: 'TLSv1.2',
    ...(options.ca === undefined ? {} : { ca: options.ca as string | string[] }),
    ...(options.refuseAddress === undefined ? {} : { lookup: guardedLookup(options.refuseAddress) }),
  });
  socket.setNoDelay(true);
  return settled(socket, options.connectTimeoutMs ?? 10_000);
}

function settled(socket: TLSSocket, timeoutMs: number): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const fail = (error: Error): void => {
      clearTimeout(timer);
      socket.destroy();
      reject(error);
    };
    const timer = setTimeout(() => fail(failure('CONNECT_TIMEOUT', 'the peer did not answer in time')), timeoutMs);
    socket.once('error', fail);
    socket.once('close', () => fail(failure('ECONNRESET', 'the peer closed the connection')));
    socket.once('secureConnect', () => {
      if (socket.alpnProtocol !== 'h2') return fail(failure('NO_H2', 'the peer does not speak HTTP/2'));
      clearTimeout(timer);
      socket.removeAllListeners('error').removeAllListeners('close');
      resolve(socket);
    });
  });
}

/** The check is made on the very addresses that the socket will use, so a name that resolves differently a moment later gains nothing. */
function guardedLookup(refuse: (address: string) => string | undefined): LookupFunction {
  return (hostname, lookupOptions, callback) => {
    dnsLookup(hostname, { ...lookupOptions, all: true }, (error, addresses) => {
      if (error) return callback(error, '', 0);
      const allowed = (addresses as LookupAddress[]).filter(({ address }) => refuse(address) === undefined);
      if (allowed.length === 0)
        return callback(failure('ADDRESS_REFUSED', `no allowed address for ${hostname}`), '', 0);
      if (lookupOptions.all) callback(null, allowed);
      else callback(null, allowed[0]!.address, allowed[0]!.family);
    });
  };
}

function failure(code: string, message: string): NodeJS.ErrnoException {
  return Object.assign(new Error(message), { code });
}
