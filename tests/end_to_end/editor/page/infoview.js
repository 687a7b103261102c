// The infoview in its frame. lean4monaco brings its own, which is older than the one in today's VS Code, and cannot
// cancel a request.
import { loadRenderInfoview } from '@leanprover/infoview/loader';
import { Rpc } from 'lean4monaco/dist/vscode-lean4/vscode-lean4/src/rpc';

const rpc = new Rpc(message => window.parent.postMessage(JSON.stringify(message)));
window.addEventListener('message', event => {
  // Others speak here, too: the loader, to itself.
  if (event.source === window.parent) rpc.messageReceived(JSON.parse(event.data));
});

const api = rpc.getApi();
let requests = 0;
const editor = Object.assign(Object.create(api), {
  sendClientRequest(uri, method, params, options = {}) {
    const id = ++requests;
    options.abortSignal?.addEventListener('abort', () => api.cancelClientRequest(id));
    return api.sendClientRequest(uri, method, params, id);
  },
});

const script = name => new URL(`/infoview/${name}.production.min.js`, window.parent.location.href).href;
loadRenderInfoview(
  {
    '@leanprover/infoview': script('index'),
    react: script('react'),
    'react/jsx-runtime': script('react-jsx-runtime'),
    'react-dom': script('react-dom'),
  },
  [editor, document.getElementById('react_root')],
  infoview => rpc.register(infoview),
);
