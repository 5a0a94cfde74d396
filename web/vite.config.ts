import { createHash } from 'node:crypto';
import { build, defineConfig, type Plugin, type Rolldown } from 'vite';

// Two pages and the service worker of one of them. `npm run dev:web` shows them with a server on port 8080 (or
// CARILLON_PORT) behind them; there the service worker is left out, because it would hold old sources.
const server = `http://localhost:${process.env.CARILLON_PORT ?? 8080}`;
const target = 'es2022';

export default defineConfig({
  root: import.meta.dirname,
  plugins: [serviceWorker()],
  build: {
    outDir: 'dist',
    emptyOutDir: true,
    target,
    reportCompressedSize: false,
    chunkSizeWarningLimit: 1_000,
    rolldownOptions: {
      // Fluent UI marks its files 'use client' for frameworks that render on a server. We have none.
      onLog: (level, log, say) => log.code !== 'MODULE_LEVEL_DIRECTIVE' && say(level, log),
      input: { dashboard: `${import.meta.dirname}/index.html`, me: `${import.meta.dirname}/me/index.html` },
      output: {
        codeSplitting: {
          groups: [
            { name: 'fluent', test: /node_modules\/(react|scheduler|@fluentui)|web\/(icons|kit\/(?!clean-markdown))/ },
          ],
        },
      },
    },
  },
  server: { proxy: { '/v1': server, '/v3': { target: server, ws: true } } },
});

/**
 * Adds the service worker: one file of its own, at an address that never changes, because browsers compare what is there
 * with what they have. It is told the files of `/me`, which it keeps for when there is no network, and a name for this build.
 */
function serviceWorker(): Plugin {
  return {
    name: 'service-worker',
    apply: 'build',
    async generateBundle(_, bundle) {
      const files = [...filesOf(bundle, 'me')].sort().map((file) => `/${file}`);
      const page = bundle['me/index.html'];
      const code = await workerCode(JSON.stringify(files));
      const version = createHash('sha256')
        .update(code)
        .update(page?.type === 'asset' ? page.source : '');
      const source = code.replace('__VERSION__', version.digest('base64url').slice(0, 12));
      this.emitFile({ type: 'asset', fileName: 'service-worker.js', source });
    },
  };
}

async function workerCode(files: string): Promise<string> {
  const output = await build({
    configFile: false,
    logLevel: 'warn',
    define: { __FILES__: files },
    build: {
      target,
      write: false,
      lib: { entry: `${import.meta.dirname}/push/service-worker.ts`, formats: ['iife'], name: 'worker' },
    },
  });
  const [
    {
      output: [worker],
    },
  ] = output as [Rolldown.RolldownOutput]; // one format, and nobody watches
  return worker.code;
}

/** What the page loads before it shows: the entry, all that it imports at once, and their styles. */
function filesOf(bundle: Rolldown.OutputBundle, entry: string): Set<string> {
  const found = new Set<string>();
  const add = (file: string) => {
    const chunk = bundle[file];
    if (chunk?.type !== 'chunk' || found.has(file)) return;
    found.add(file);
    for (const style of chunk.viteMetadata?.importedCss ?? []) found.add(style);
    for (const imported of chunk.imports) add(imported);
  };
  const chunks = Object.values(bundle).filter((each) => each.type === 'chunk');
  for (const chunk of chunks) if (chunk.isEntry && chunk.name === entry) add(chunk.fileName);
  return found;
}
