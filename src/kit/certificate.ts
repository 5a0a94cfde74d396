// A local certificate authority and a server certificate, made without openssl: for TLS doors on localhost and for stand-ins.
// X.509 v3 in DER (RFC 5280), P-256 keys, SHA-256. Only what these two certificates need.

import { createHash, generateKeyPairSync, type KeyObject, randomBytes, sign, X509Certificate } from 'node:crypto';
import { isIPv4, isIPv6 } from 'node:net';

export type LocalCertificate = {
  /** PEM of the authority: what clients must trust (`NODE_EXTRA_CA_CERTS`, `ca`). */
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
};

const oid = {
  ecdsaWithSha256: '2a8648ce3d040302',
  commonName: '550403',
  basicConstraints: '551d13',
  keyUsage: '551d0f',
  subjectAltName: '551d11',
  extendedKeyUsage: '551d25',
  subjectKeyId: '551d0e',
  authorityKeyId: '551d23',
  serverAuth: '2b06010505070301',
} as const;

/** `hosts`: names and addresses that the certificate is for; the first is its common name. Chromium takes no more than 398 days from us. */
export function makeCertificate(
  hosts: readonly string[] = ['localhost', '127.0.0.1', '::1'],
  days = 397,
): LocalCertificate {
  const authority = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const server = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const issuer = 'Carillon local authority';
  const ca = certificate(
    authority.publicKey,
    issuer,
    authority.privateKey,
    issuer,
    days,
    authorityExtensions(authority.publicKey),
  );
  const cert = certificate(
    server.publicKey,
    hosts[0]!,
    authority.privateKey,
    issuer,
    days,
    serverExtensions(server.publicKey, authority.publicKey, hosts),
  );
  return { ca, cert, key: server.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString() };
}

function certificate(
  subjectKey: KeyObject,
  subject: string,
  issuerKey: KeyObject,
  issuer: string,
  days: number,
  extensions: Buffer[],
): string {
  const algorithm = sequence(objectId(oid.ecdsaWithSha256));
  const now = Date.now();
  const body = sequence(
    tagged(0xa0, integer(Buffer.from([2]))),
    integer(Buffer.concat([Buffer.from([0x40]), randomBytes(15)])),
    algorithm,
    name(issuer),
    sequence(time(new Date(now - 3600_000)), time(new Date(now + days * 86_400_000))),
    name(subject),
    spki(subjectKey),
    tagged(0xa3, sequence(...extensions)),
  );
  const signature = sign('sha256', body, issuerKey);
  return new X509Certificate(sequence(body, algorithm, bitString(signature))).toString();
}

function authorityExtensions(key: KeyObject): Buffer[] {
  return [
    extension(oid.basicConstraints, sequence(tagged(0x01, Buffer.from([0xff]))), true),
    extension(oid.keyUsage, tagged(0x03, Buffer.from([1, 0x06])), true),
    extension(oid.subjectKeyId, tagged(0x04, keyId(key))),
  ];
}

function serverExtensions(key: KeyObject, authority: KeyObject, hosts: readonly string[]): Buffer[] {
  return [
    extension(oid.basicConstraints, sequence(), true),
    extension(oid.keyUsage, tagged(0x03, Buffer.from([7, 0x80])), true),
    extension(oid.extendedKeyUsage, sequence(objectId(oid.serverAuth))),
    extension(oid.subjectAltName, sequence(...hosts.map(alternativeName))),
    extension(oid.subjectKeyId, tagged(0x04, keyId(key))),
    extension(oid.authorityKeyId, sequence(tagged(0x80, keyId(authority)))),
  ];
}

function alternativeName(host: string): Buffer {
  if (isIPv4(host)) return tagged(0x87, Buffer.from(host.split('.').map(Number)));
  if (isIPv6(host)) return tagged(0x87, ipv6Bytes(host));
  return tagged(0x82, Buffer.from(host, 'ascii'));
}

function ipv6Bytes(host: string): Buffer {
  const [head = '', tail = ''] = host.split('::');
  const left = head === '' ? [] : head.split(':');
  const right = tail === '' ? [] : tail.split(':');
  const groups = [...left, ...new Array<string>(8 - left.length - right.length).fill('0'), ...right];
  return Buffer.from(groups.flatMap((group) => [Number.parseInt(group, 16) >> 8, Number.parseInt(group, 16) & 255]));
}

function extension(id: string, value: Buffer, critical = false): Buffer {
  return sequence(objectId(id), ...(critical ? [tagged(0x01, Buffer.from([0xff]))] : []), tagged(0x04, value));
}

function keyId(key: KeyObject): Buffer {
  return createHash('sha256').update(spki(key)).digest().subarray(0, 20);
}

function spki(key: KeyObject): Buffer {
  return key.export({ type: 'spki', format: 'der' });
}

function name(commonName: string): Buffer {
  return sequence(tagged(0x31, sequence(objectId(oid.commonName), tagged(0x0c, Buffer.from(commonName)))));
}

/** UTCTime: right until 2049 (RFC 5280 section 4.1.2.5). */
function time(at: Date): Buffer {
  return tagged(0x17, Buffer.from(`${at.toISOString().replace(/[-:T]/g, '').slice(2, 14)}Z`));
}

function integer(bytes: Buffer): Buffer {
  return tagged(0x02, bytes);
}

function bitString(bytes: Buffer): Buffer {
  return tagged(0x03, Buffer.concat([Buffer.from([0]), bytes]));
}

function objectId(hex: string): Buffer {
  return tagged(0x06, Buffer.from(hex, 'hex'));
}

function sequence(...parts: readonly Buffer[]): Buffer {
  return tagged(0x30, Buffer.concat(parts));
}

function tagged(tag: number, content: Buffer): Buffer {
  const length =
    content.length < 128
      ? [content.length]
      : content.length < 256
        ? [0x81, content.length]
        : [0x82, content.length >> 8, content.length & 255];
  return Buffer.concat([Buffer.from([tag, ...length]), content]);
}
