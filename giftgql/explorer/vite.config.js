import { readFileSync } from 'node:fs';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';
import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

// What the back office's pages load comes by the same way: other people's files are not committed.
const OFFICE = {
  'htmx.js': 'htmx.org/dist/htmx.min.js',
  'hx-sse.js': 'htmx.org/dist/ext/hx-sse.min.js',
  'pico.css': '@picocss/pico/css/pico.min.css',
};

const office = {
  name: 'office',
  generateBundle() {
    for (const [name, file] of Object.entries(OFFICE)) {
      const source = readFileSync(new URL(`node_modules/${file}`, import.meta.url));
      this.emitFile({ type: 'asset', fileName: `office/${name}`, source });
    }
  },
};

const compressed = {
  name: 'compressed',
  generateBundle: {
    order: 'post',
    handler(_, bundle) {
      const files = Object.values(bundle).filter((each) => /\.(js|css)$/.test(each.fileName));
      for (const each of files) {
        const source = Buffer.from(each.code ?? each.source);
        const quality = { params: { [constants.BROTLI_PARAM_QUALITY]: 9 } };
        const { fileName } = each;
        this.emitFile({ type: 'asset', fileName: `${fileName}.gz`, source: gzipSync(source) });
        const small = brotliCompressSync(source, quality);
        this.emitFile({ type: 'asset', fileName: `${fileName}.br`, source: small });
      }
    },
  },
};

export default defineConfig({
  base: './',
  plugins: [react(), office, compressed],
  worker: { format: 'es' },
  build: {
    outDir: 'built',
    manifest: 'manifest.json',
    target: 'es2022',
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    sourcemap: false,
    chunkSizeWarningLimit: 8000,
    rollupOptions: { input: 'src/main.jsx' },
  },
});
