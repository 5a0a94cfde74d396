// The door's TLS certificate: made at the first start, kept in the data folder, made anew a month before it ends.
import { X509Certificate } from 'node:crypto';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { makeCertificate } from '../../kit/certificate.ts';
import { publicHost } from './connection-string.ts';

const RENEW_BEFORE_MS = 30 * 24 * 60 * 60 * 1000;

export type KeptCertificate = {
  /** PEM. */
  readonly cert: string;
  readonly key: string;
  /** The file that clients must trust, as in NODE_EXTRA_CA_CERTS. */
  readonly caFile: string;
};

/** Of the doors that listen on `host`. */
export async function keptCertificate(folder: string, host: string, now: Date): Promise<KeptCertificate> {
  const hosts = namesOf(host);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const caFile = join(folder, 'ca.pem');
  const [certFile, keyFile] = [join(folder, 'cert.pem'), join(folder, 'key.pem')];
  const [ca, cert, key] = (await readAll([caFile, certFile, keyFile])) ?? [];
  if (ca && cert && key && isGood(cert, hosts, now)) return { cert, key, caFile };
  const made = makeCertificate(hosts);
  await write(caFile, made.ca, 0o644);
  await write(keyFile, made.key, 0o600);
  await write(certFile, made.cert, 0o644);
  return { cert: made.cert, key: made.key, caFile };
}

/** The names that this machine is called by, and the address that it listens on. */
function namesOf(host: string): string[] {
  const named = publicHost(host);
  return ['localhost', '127.0.0.1', '::1', ...(named === undefined ? [] : [named])];
}

async function readAll(files: readonly string[]): Promise<string[] | undefined> {
  try {
    return await Promise.all(files.map((file) => readFile(file, 'utf8')));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

function isGood(pem: string, hosts: readonly string[], now: Date): boolean {
  const certificate = new X509Certificate(pem);
  const valid = new Date(certificate.validTo).getTime() - now.getTime() > RENEW_BEFORE_MS;
  return valid && hosts.every((host) => certificate.checkHost(host) ?? certificate.checkIP(host));
}

async function write(file: string, text: string, mode: number): Promise<void> {
  await writeFile(`${file}.new`, text, { mode });
  await rename(`${file}.new`, file);
}
