// The pages: files of the web build, read once at the start and served from memory. A request only looks a path up in a
// map, so there is no path that leads out of the folder. A file that is kept compressed (`x.js.gz`) is served as `x.js`.
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import { promisify } from 'node:util';
import { gunzip, gzip } from 'node:zlib';
import type { App, Reply, Request } from './app.ts';
import { pageHeaders } from './browser.ts';

type Page = {
  readonly body: Buffer;
  /** Undefined where it would not be smaller. */
  readonly zipped: Buffer | undefined;
  readonly type: string;
  readonly etag: string;
  readonly cacheControl: string;
};

const types: Readonly<Record<string, string>> = {
  html: 'text/html; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  css: 'text/css; charset=utf-8',
  json: 'application/json; charset=utf-8',
  webmanifest: 'application/manifest+json; charset=utf-8',
  svg: 'image/svg+xml',
  png: 'image/png',
  ico: 'image/x-icon',
  woff2: 'font/woff2',
  txt: 'text/plain; charset=utf-8',
};

/** Serves the files of `folder`; `index.html` also under its folder's path. Does nothing if there is no such folder. */
export async function servePages(app: App, folder: string): Promise<void> {
  const pages = await readPages(folder);
  for (const [path, page] of pages) {
    app.get(path, { schema: { hide: true }, config: { access: 'open' } }, (request, reply) =>
      send(request, reply, page),
    );
  }
}

function send(request: Request, reply: Reply, page: Page) {
  reply.header('etag', page.etag).header('cache-control', page.cacheControl).header('vary', 'accept-encoding');
  if (page.type.startsWith('text/html')) reply.headers(pageHeaders);
  if (request.headers['if-none-match'] === page.etag) return reply.code(304).send();
  const zips = page.zipped !== undefined && /\bgzip\b/.test(String(request.headers['accept-encoding']));
  if (zips) reply.header('content-encoding', 'gzip');
  return reply.header('content-type', page.type).send(zips ? page.zipped : page.body);
}

async function readPages(folder: string): Promise<Map<string, Page>> {
  const pages = new Map<string, Page>();
  for (const file of await listFiles(folder)) {
    const path = `/${relative(folder, file).split(sep).join('/')}`.replace(/\.gz$/, '');
    const page = await readPage(file, path);
    pages.set(path, page);
    if (!path.endsWith('/index.html')) continue;
    const parent = path.slice(0, -'/index.html'.length);
    pages.set(`${parent}/`, page);
    if (parent !== '') pages.set(parent, page);
  }
  return pages;
}

async function listFiles(folder: string): Promise<string[]> {
  try {
    const entries = await readdir(folder, { recursive: true, withFileTypes: true });
    return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []; // not built: the API works without pages
    throw error;
  }
}

async function readPage(file: string, path: string): Promise<Page> {
  const kept = await readFile(file);
  const body = file.endsWith('.gz') ? await promisify(gunzip)(kept) : kept;
  const zipped = body === kept ? await promisify(gzip)(body) : kept;
  return {
    body,
    zipped: zipped.length < body.length * 0.9 ? zipped : undefined,
    type: types[path.slice(path.lastIndexOf('.') + 1)] ?? 'application/octet-stream',
    etag: `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"`,
    // Names there carry a hash of their content, or a version.
    cacheControl: /^\/(assets|vendor)\//.test(path) ? 'public, max-age=31536000, immutable' : 'no-cache',
  };
}
