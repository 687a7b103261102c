// VS Code's editor with a Lean file in it, and the infoview beside it. What happens between the two and Lean is up to
// the Lean extension, which lean4monaco packs for browsers.
import { LeanMonaco } from 'lean4monaco';
import * as monaco from 'monaco-editor';
import { CancellationTokenSource, Uri } from 'vscode';
import { createModelReference } from 'vscode/monaco';

const $ = id => document.getElementById(id);
const { uri, text } = await (await fetch('/document')).json();
$('name').textContent = decodeURIComponent(uri.split('/').pop());

const lean = new LeanMonaco();
lean.setInfoviewElement($('infoview'));
await lean.start({
  websocket: { url: `ws://${location.host}/lsp` },
  vscode: {
    'editor.fontSize': 14,
    'editor.padding.top': 8,
    'editor.renderWhitespace': 'none',
    'editor.wordBasedSuggestions': 'off', // as docs/lean.md recommends
    'editor.wordWrap': 'off',
    'workbench.colorTheme': 'Default Dark Modern',
  },
});
const client = () => lean.clientProvider.getActiveClient().client;

// What lean4monaco lacks: requests that the infoview can cancel, and documents that it shows.
const running = new Map();
Object.assign(lean.infoProvider.editorApi, {
  async sendClientRequest(_uri, method, params, id) {
    const source = new CancellationTokenSource();
    running.set(id, source);
    try {
      return await client().sendRequest(method, params, source.token);
    } finally {
      running.delete(id);
    }
  },
  async cancelClientRequest(id) {
    running.get(id)?.cancel();
  },
  async showDocument({ selection: { start, end } }) {
    editor.setSelection(new monaco.Range(start.line + 1, start.character + 1, end.line + 1, end.character + 1));
    editor.focus();
  },
});

const file = Uri.parse(uri);
const { object } = await createModelReference(file, text);
const model = object.textEditorModel;
const editor = monaco.editor.create($('code'), { automaticLayout: true, model });

// For the tests. Lines and characters start at 0.
globalThis.editor = {
  text: () => model.getValue(),
  cursor: () => {
    const { lineNumber, column } = editor.getPosition();
    return { line: lineNumber - 1, character: column - 1 };
  },
  moveTo: (line, character) => {
    editor.setPosition({ lineNumber: line + 1, column: character + 1 });
    editor.focus();
  },
  /** Lean's messages, once it has gone through the present text. */
  messages: async () => {
    await client().sendRequest('textDocument/waitForDiagnostics', { uri, version: model.getVersionId() });
    return client().diagnostics.get(file).map(diagnostic => diagnostic.message);
  },
};
