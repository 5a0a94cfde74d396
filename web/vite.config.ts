import { defineConfig } from 'vite';

// Two pages, one build. `npm run dev:web` shows them with a server on port 8080 (or CARILLON_PORT) behind them.
const server = `http://localhost:${process.env.CARILLON_PORT ?? 8080}`;

export default defineConfig({
  root: import.meta.dirname,
  build: {
    outDir: 'dist',
    emptyOutDir: true,
    target: 'es2022',
    reportCompressedSize: false,
    chunkSizeWarningLimit: 1_000,
    rolldownOptions: {
      // Fluent UI marks its files 'use client' for frameworks that render on a server. We have none.
      onLog: (level, log, say) => log.code !== 'MODULE_LEVEL_DIRECTIVE' && say(level, log),
      input: { dashboard: `${import.meta.dirname}/index.html`, me: `${import.meta.dirname}/me/index.html` },
      output: { codeSplitting: { groups: [{ name: 'fluent', test: /node_modules|web\/(icons|kit)\// }] } },
    },
  },
  server: { proxy: { '/v1': server } },
});
