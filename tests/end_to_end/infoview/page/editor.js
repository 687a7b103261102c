// A small editor: a text area over the same text in colours, and the infoview beside it. It does for the infoview
// what VS Code's Lean extension does (EditorApi and InfoviewApi in @leanprover/infoview-api).
import { renderInfoview } from '@leanprover/infoview';

const $ = id => document.getElementById(id);
const typed = $('typed');
const { uri, text } = await (await fetch('/document')).json();
let version = 1;
let diagnostics = [];
typed.value = text;
$('name').textContent = decodeURIComponent(uri.split('/').pop());

// Positions, as the language server's protocol has them.

const position = offset => {
  const lines = typed.value.slice(0, offset).split('\n');
  return { line: lines.length - 1, character: lines.at(-1).length };
};
const offset = ({ line, character }) => {
  const lines = typed.value.split('\n');
  return lines.slice(0, line).reduce((sum, each) => sum + each.length + 1, 0) + character;
};
const cursor = () => ({
  uri,
  range: { start: position(typed.selectionStart), end: position(typed.selectionEnd) },
});

// The language server.

const socket = new WebSocket(`ws://${location.host}/lsp`);
await new Promise(resolve => socket.addEventListener('open', resolve));
const waiting = new Map();
let lastId = 0;
const send = message => socket.send(JSON.stringify({ jsonrpc: '2.0', ...message }));

const request = (method, params, options = {}) =>
  new Promise((resolve, reject) => {
    const id = ++lastId;
    waiting.set(id, { resolve, reject });
    options.abortSignal?.addEventListener('abort', () => send({ method: '$/cancelRequest', params: { id } }));
    send({ id, method, params });
  });

const notify = (method, params) => {
  send({ method, params });
  if (toServer.get(method)) infoview.sentClientNotification(method, params);
};

socket.addEventListener('message', event => {
  const message = JSON.parse(event.data);
  if (message.method) {
    if (message.method === 'textDocument/publishDiagnostics') {
      diagnostics = message.params.diagnostics;
      show();
    }
    if (fromServer.get(message.method)) infoview.gotServerNotification(message.method, message.params);
  } else if (waiting.has(message.id)) {
    const { resolve, reject } = waiting.get(message.id);
    waiting.delete(message.id);
    message.error ? reject(message.error) : resolve(message.result);
  }
});

// What is typed, and what a click in the infoview changes.

function changed() {
  version += 1;
  notify('textDocument/didChange', {
    textDocument: { uri, version },
    contentChanges: [{ text: typed.value }],
  });
  moved();
}

function moved() {
  show();
  infoview.changedCursorLocation(cursor());
}

function edit(changes) {
  for (const { range, newText } of changes.toSorted((a, b) => offset(b.range.start) - offset(a.range.start))) {
    typed.setRangeText(newText, offset(range.start), offset(range.end), 'end');
  }
  changed();
}

const fromServer = new Map();
const toServer = new Map();
const count = (methods, step) => async method => void methods.set(method, (methods.get(method) ?? 0) + step);
const alive = new Map();
// React renders the infoview some time before its components subscribe to the editor's events. What
// happens in between, such as a move of the cursor, is lost to them.
let listening;
const listens = new Promise(resolve => (listening = resolve));

const infoview = renderInfoview(
  {
    saveConfig: async () => {},
    sendClientRequest: (_uri, method, params, options) => request(method, params, options),
    sendClientNotification: async (_uri, method, params) => notify(method, params),
    subscribeServerNotifications: count(fromServer, 1),
    unsubscribeServerNotifications: count(fromServer, -1),
    subscribeClientNotifications: async method => {
      toServer.set(method, (toServer.get(method) ?? 0) + 1);
      if (method === 'textDocument/didClose') listening();
    },
    unsubscribeClientNotifications: count(toServer, -1),
    copyToClipboard: text => navigator.clipboard.writeText(text),
    insertText: async (text, kind, at) => {
      const start = at ? at.position : cursor().range.start;
      const place = kind === 'above' ? { line: start.line, character: 0 } : start;
      edit([{ range: { start: place, end: place }, newText: kind === 'above' ? `${text}\n` : text }]);
    },
    applyEdit: async ({ changes = {}, documentChanges = [] }) =>
      edit([...(changes[uri] ?? []), ...documentChanges.flatMap(change => change.edits)]),
    showDocument: async ({ selection }) => selection && moveTo(selection.start.line, selection.start.character),
    restartFile: async () => {},
    createRpcSession: async () => {
      const { sessionId } = await request('$/lean/rpc/connect', { uri });
      const keep = () => send({ method: '$/lean/rpc/keepAlive', params: { uri, sessionId } });
      alive.set(sessionId, setInterval(keep, 10_000));
      return sessionId;
    },
    closeRpcSession: async sessionId => clearInterval(alive.get(sessionId)),
  },
  $('infoview'),
);

function moveTo(line, character) {
  typed.focus();
  typed.selectionStart = typed.selectionEnd = offset({ line, character });
  moved();
}

// What is seen of the text.

const COLOURS = [
  ['comment', /--.*|\/-[^]*?-\//],
  ['string', /"(?:[^"\\]|\\.)*"/],
  ['keyword', /\b(?:import|open|namespace|end|section|variable|theorem|lemma|example|def|where|local|scoped)\b/],
  ['keyword', /\b(?:show_panel_widgets|fun|by|have|let|from|at|with|if|then|else|match)\b|∀|∃/],
  ['number', /\b\d+\b/],
  ['sort', /\b(?:Prop|Type|Sort)\b/],
];
const TOKENS = new RegExp(COLOURS.map(([, pattern]) => `(${pattern.source})`).join('|'), 'gu');

/** The colour of each character. */
function colours(source) {
  const classes = Array(source.length).fill('');
  for (const match of source.matchAll(TOKENS)) {
    const kind = COLOURS[match.slice(1).findIndex(group => group !== undefined)][0];
    classes.fill(kind, match.index, match.index + match[0].length);
  }
  for (const { range, severity } of diagnostics) {
    const [start, end] = [offset(range.start), offset(range.end)];
    for (let i = start; i < Math.max(end, start + 1) && i < source.length; i++) {
      if (source[i] !== '\n') classes[i] += ` squiggle severity-${severity}`;
    }
  }
  return classes;
}

function show() {
  const source = typed.value;
  const classes = colours(source);
  const { line } = cursor().range.start;
  const lines = [];
  let at = 0;
  for (const content of source.split('\n')) {
    const row = document.createElement('div');
    row.className = lines.length === line ? 'row current' : 'row';
    for (let i = 0, j; i < content.length; i = j) {
      for (j = i; j < content.length && classes[at + j] === classes[at + i]; j++);
      const span = document.createElement('span');
      span.className = classes[at + i];
      span.textContent = content.slice(i, j);
      row.append(span);
    }
    at += content.length + 1;
    lines.push(row);
  }
  $('shown').replaceChildren(...lines);
  $('numbers').replaceChildren(
    ...lines.map((row, i) => {
      const number = document.createElement('div');
      number.className = row.className;
      number.textContent = i + 1;
      return number;
    }),
  );
}

typed.addEventListener('input', changed);
document.addEventListener('selectionchange', () => document.activeElement === typed && moved());

send({ id: 0, method: 'initialize', params: { capabilities: {}, initializationOptions: { hasWidgets: true } } });
notify('textDocument/didOpen', { textDocument: { uri, languageId: 'lean4', version, text } });
infoview.serverRestarted({ capabilities: {}, serverInfo: { name: 'Lean 4 Server', version: '0.3.0' } });
infoview.initialize(cursor());
show();

// For the test, once the infoview follows the cursor and Lean has gone through the file. Before, each
// call of the infoview takes one of Lean's threads, and the npm Lean ends with too many of them.

async function elaborated() {
  await request('textDocument/waitForDiagnostics', { uri, version });
  return diagnostics;
}

await Promise.all([listens, elaborated()]);
globalThis.editor = {
  moveTo,
  text: () => typed.value,
  cursor: () => cursor().range.start,
  replace: text => ((typed.value = text), changed()),
  diagnostics: elaborated,
};
