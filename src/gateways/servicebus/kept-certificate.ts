// The door's TLS certificate: made at the first start, kept in the data folder, made anew a month before it ends.
import { X509Certificate } from 'node:crypto';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createSecureContext, type SecureContext } from 'node:tls';
import { makeCertificate } from '../../kit/certificate.ts';

const RENEW_BEFORE_MS = 30 * 24 * 60 * 60 * 1000;

export type KeptCertificate = {
  readonly context: SecureContext;
  /** The file that clients must trust, as in NODE_EXTRA_CA_CERTS. */
  readonly caFile: string;
};

/** `hosts`: names and addresses that it has to be valid for. */
export async function keptCertificate(folder: string, hosts: readonly string[], now: Date): Promise<KeptCertificate> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const caFile = join(folder, 'ca.pem');
  const [cert, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')];
  const kept = await readAll([caFile, cert, key]);
  if (kept && isGood(kept[1]!, hosts, now)) return { context: contextOf(kept[1]!, kept[2]!), caFile };
  const made = makeCertificate(hosts);
  await write(caFile, made.ca, 0o644);
  await write(key, made.key, 0o600);
  await write(cert, made.cert, 0o644);
  return { context: contextOf(made.cert, made.key), caFile };
}

/** The same certificate as PEM, for a door that listens on `host` by another protocol. */
export async function keptCertificateFiles(
  folder: string,
  host: string,
  now: Date,
): Promise<{ readonly cert: string; readonly key: string }> {
  await keptCertificate(folder, certificateHosts(host), now);
  const [cert, key] = await Promise.all(['cert.pem', 'key.pem'].map((name) => readFile(join(folder, name), 'utf8')));
  return { cert: cert!, key: key! };
}

/** The names that this machine is called by, and the address that it listens on. */
export function certificateHosts(host: string): string[] {
  const everywhere = host === '0.0.0.0' || host === '::';
  return [...new Set(['localhost', '127.0.0.1', '::1', ...(everywhere ? [] : [host])])];
}

function contextOf(cert: string, key: string): SecureContext {
  return createSecureContext({ cert, key });
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
