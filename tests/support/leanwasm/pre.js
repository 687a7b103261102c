// Before Lean starts: the host's directories under their own names, where the libraries are, a quiet standard output.
const fs = require('fs');
const M = {};
process.env.LEAN_PATH = [__dirname + '/lib/lean', process.env.LEAN_PATH].filter(Boolean).join(':');
const consoleLog = console.log;
console.log = (...a) => { if (!String(a[0]).startsWith('[DEBUG')) consoleLog(...a); };
M.printErr = (s) => { if (!String(s).startsWith('[DEBUG')) fs.writeSync(2, s + '\n'); };
M.preRun = [() => {
  const own = ['dev', 'proc', 'sys'];      // emscripten's
  const later = ['home', 'tmp'];           // Lean's own main mounts these
  for (const d of fs.readdirSync('/', { withFileTypes: true })) {
    if (!d.isDirectory() || own.includes(d.name) || later.includes(d.name)) continue;
    try { M.__FS.mkdir('/' + d.name); } catch (e) { /* emscripten made it */ }
    M.__FS.mount(M.__NODEFS, { root: '/' + d.name }, '/' + d.name);
  }
  // What the process knows of itself: how much memory it has.
  M.__FS.mkdir('/host-proc');
  M.__FS.mount(M.__NODEFS, { root: '/proc' }, '/host-proc');
  M.__FS.symlink(`/host-proc/${process.pid}/status`, '/proc/self/status');
  Object.assign(M.__ENV, process.env, { LLVM_PROFILE_FILE: '/dev/null' });
}];
module.exports = M;
