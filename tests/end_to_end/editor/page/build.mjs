// Bundles the page and the packages that it needs into the folder `dist`.
import * as esbuild from 'esbuild';
import { cp, readFile } from 'node:fs/promises';

// The scripts that run as web workers, by the name under which they are started.
const WORKERS = {
  'monaco-editor/esm/vs/editor/editor.worker.js': 'editor.worker',
  '@codingame/monaco-vscode-textmate-service-override/worker': 'textmate.worker',
};
const FILE = /new URL\(\s*(['"`])([^'"`]+)\1,\s*import\.meta\.url\)/g;

// Makes the files that modules refer to by `new URL('…', import.meta.url)` part of the bundle.
const files = {
  name: 'files',
  setup(build) {
    build.onLoad({ filter: /\.js$/, namespace: 'file' }, async ({ path }) => {
      const imports = [];
      const source = (await readFile(path, 'utf8')).replace(FILE, (_all, _quote, name) => {
        if (name in WORKERS) return `new URL('./${WORKERS[name]}.js', import.meta.url)`;
        imports.push(`import file${imports.length} from ${JSON.stringify(`file:${name}`)};`);
        return `new URL(file${imports.length - 1}, import.meta.url)`;
      });
      return { contents: [...imports, source].join('\n') };
    });
    build.onResolve({ filter: /^file:/ }, async ({ path, resolveDir, kind }) => {
      const found = await build.resolve(path.slice('file:'.length), { resolveDir, kind });
      return { ...found, namespace: 'files' };
    });
    build.onLoad({ filter: /.*/, namespace: 'files' }, async ({ path }) => ({
      contents: await readFile(path),
      loader: 'file',
    }));
  },
};

await esbuild.build({
  entryPoints: {
    editor: 'editor.js',
    'infoview/webview': 'infoview.js',
    ...Object.fromEntries(Object.entries(WORKERS).map(([module, name]) => [name, module])),
  },
  outdir: 'dist',
  bundle: true,
  splitting: true,
  format: 'esm',
  // The extension names modules of Node's, for what it does not do in a browser.
  alias: {
    path: 'path-browserify',
    ...Object.fromEntries(['assert', 'child_process', 'fs', 'memfs', 'os'].map(name => [name, './node.js'])),
  },
  define: { 'process.env': '{}', 'process.platform': '"linux"' },
  loader: { '.html': 'file', '.svg': 'file', '.ttf': 'file', '.wasm': 'file' },
  plugins: [files],
  logLevel: 'warning',
});
await cp('node_modules/@leanprover/infoview/dist', 'dist/infoview', { recursive: true });
for (const name of ['index.html', 'page.css']) await cp(name, `dist/${name}`);
