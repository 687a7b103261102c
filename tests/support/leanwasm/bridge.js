// Process bridge: overrides symbols in the table that dlsym (and so Lean's interpreter) reads.
const cp = require('child_process'), fs = require('fs'), os = require('os'), path = require('path'), wt = require('worker_threads');
const { isUtf8 } = require('buffer');
module.exports = function install(E, mem, put) {
  const u8 = () => new Uint8Array(mem.buffer), u32 = () => new Uint32Array(mem.buffer), i32 = () => new Int32Array(mem.buffer);
  const isScalar = o => (o & 1) === 1;
  const box = n => (n << 1) | 1;
  const field = (o, i) => u32()[(o + 8 >> 2) + i];
  const dec = o => { if (!isScalar(o)) { const r = i32()[o >> 2]; if (r > 1) i32()[o >> 2] = r - 1; else if (r !== 0) E.lean_dec_ref_cold(o); } };
  const str = o => Buffer.from(u8().slice(o + 20, o + 20 + u32()[o + 8 >> 2] - 1)).toString('utf8');
  const arr = o => { const n = u32()[o + 8 >> 2]; return Array.from(u32().slice(o + 16 >> 2, (o + 16 >> 2) + n)); };
  const mkStr = b => { b = Buffer.isBuffer(b) ? b : Buffer.from(String(b)); const p = E.malloc(b.length + 1); u8().set(b, p); const r = E.lean_mk_string_from_bytes(p, b.length); E.free(p); return r; };
  const mkCtor = (tag, objs, ssz = 0) => { const p = E.malloc(4 * objs.length + 8); objs.forEach((o, i) => u32()[(p >> 2) + i] = o); const sret = p + 4 * objs.length; E._ZN4lean8mk_cnstrEjjPP11lean_objectj(sret, tag, objs.length, p, ssz); const r = u32()[sret >> 2]; E.free(p); return r; };
  let resN = 0;                                     // number of object fields of an IO result in this version
  const ioOk = v => { if (!resN) { const t = E.lean_io_process_get_pid(); resN = u8()[t + 6]; } return mkCtor(0, resN === 1 ? [v] : [v, box(0)]); };
  const ioErr = m => { const e = E.lean_mk_io_user_error(mkStr(m)); ioOk(box(0)); return mkCtor(1, resN === 1 ? [e] : [e, box(0)]); };
  const boxU32 = n => { const o = mkCtor(0, [], 4); u32()[o + 8 >> 2] = n; return o; };
  function parse(a) {
    const st = field(a, 0), n = u8()[a + 6], sc = a + 8 + 4 * n;
    const r = { stdio: Array.from(u8().slice(st + 8, st + 11)), cmd: str(field(a, 1)), args: arr(field(a, 2)).map(str), opts: {} };
    const cwd = field(a, 3); r.opts.cwd = isScalar(cwd) ? process.cwd() : str(field(cwd, 0));
    const env = Object.assign({}, process.env);
    for (const kv of arr(field(a, 4))) { const v = field(kv, 1); if (isScalar(v)) delete env[str(field(kv, 0))]; else env[str(field(kv, 0))] = str(field(v, 0)); }
    r.opts.env = env; r.nobj = n; r.scal = Array.from(u8().slice(sc, sc + 2));
    return r;
  }
  const log = m => { if (process.env.LEAN_BRIDGE_LOG) fs.writeSync(2, '[bridge] ' + m + '\n'); };
  function output(args, input, _w) {
    log('enter');
    try {
      const p = parse(args);
      const inp = isScalar(input) ? undefined : Buffer.from(str(field(input, 0)));
      log(JSON.stringify([p.cmd,p.args,p.stdio,p.nobj,p.scal])); dec(args); dec(input);
      const r = cp.spawnSync(p.cmd, p.args, Object.assign(p.opts, { input: inp, stdio: [inp === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'], maxBuffer: 1 << 28 }));
      log('ran '+r.status); if (r.error) return ioErr(`could not execute external process '${p.cmd}': ${r.error.message}`);
      const o = mkCtor(0, [mkStr(r.stdout), mkStr(r.stderr)], 4);
      u32()[o + 16 >> 2] = r.status === null ? 255 : r.status;
      return ioOk(o);
    } catch (e) { return ioErr('bridge: ' + (e && e.stack || e)); }
  }
  output.sig = 'iiii';
  put('l_IO_Process_output___boxed', output);
  // Lean's own getenv answers nothing under emscripten. A BaseIO result is the bare value.
  const getenv = (name, _w) => { const v = process.env[str(name)]; dec(name); return v === undefined ? box(0) : mkCtor(1, [mkStr(v)]); };
  getenv.sig = 'iii'; put('l_IO_getEnv___boxed', getenv);
  // A process that runs beside Lean. Its streams are files, because Lean's handles cannot be pipes here: the shell
  // starts the program once Lean has closed its standard input, and readToEnd waits for its end. All threads find
  // the files by the process id or by the address of a handle.
  const base = `${os.tmpdir()}/leanwasm-${process.pid}`;
  if (wt.isMainThread) process.on('exit', () => fs.rmSync(base, { recursive: true, force: true }));
  const nap = new Int32Array(new SharedArrayBuffer(4));
  const until = done => { while (!done()) Atomics.wait(nap, 0, 0, 2); };
  // The file is written as a whole once it ends with a newline.
  const exitCode = dir => { const f = `${dir}/code`, text = fs.existsSync(f) ? fs.readFileSync(f, 'utf8') : ''; return text.endsWith('\n') ? Number(text) : undefined; };
  const setExitCode = (dir, code) => { fs.writeFileSync(`${dir}/code`, `${code}\n`); };
  const SHELL = `cd "$LEANWASM_CWD" || exit
    is_open() { for f in /proc/$LEANWASM_PID/fd/*; do [ "$f" -ef "$LEANWASM_DIR/0" ] && return; done; return 1; }
    while is_open; do /bin/sleep 0.002; done
    "$@" <"$LEANWASM_DIR/0" >"$LEANWASM_DIR/1" 2>"$LEANWASM_DIR/2"; code=$?
    [ $code = 127 ] && { echo "could not execute external process '$1'" >"$LEANWASM_DIR/2"; code=255; }
    echo $code >"$LEANWASM_DIR/code"`;
  function spawn(args, _w) {
    try {
      const p = parse(args); dec(args);
      fs.mkdirSync(base, { recursive: true });
      const dir = fs.mkdtempSync(`${base}/`);
      const handles = [0, 1, 2].map(k => {
        fs.writeFileSync(`${dir}/${k}`, '');
        if (p.stdio[k] !== 0) return box(0);                   // not piped
        const h = field(E.lean_io_prim_handle_mk(mkStr(`${dir}/${k}`), k === 0 ? 1 : 0), 0);
        if (k > 0) { fs.rmSync(`${base}/h${h}`, { force: true }); fs.symlinkSync(`${dir}/${k}`, `${base}/h${h}`); }
        return h;
      });
      Object.assign(p.opts.env, { LEANWASM_DIR: dir, LEANWASM_PID: String(process.pid), LEANWASM_CWD: p.opts.cwd });
      const child = cp.spawn('/bin/sh', ['-c', SHELL, 'sh', p.cmd, ...p.args], { env: p.opts.env, detached: true, stdio: 'ignore' });
      child.unref();
      fs.symlinkSync(dir, `${base}/p${child.pid}`);
      log(`spawned ${child.pid}: ${p.cmd}`);
      return ioOk(mkCtor(0, [...handles, box(child.pid), box(0)]));
    } catch (e) { return ioErr('bridge: ' + (e && e.stack || e)); }
  }
  spawn.sig = 'iii'; put('l_IO_Process_spawn___boxed', spawn);
  const pid = child => field(child, 3) >> 1, childDir = child => `${base}/p${pid(child)}`;
  function wait(cfg, child, _w) {
    const dir = childDir(child); let code;
    until(() => (code = exitCode(dir)) !== undefined);
    dec(cfg); dec(child); return ioOk(boxU32(code));
  }
  wait.sig = 'iiii'; put('l_IO_Process_Child_wait___boxed', wait);
  function tryWait(cfg, child, _w) {
    const code = exitCode(childDir(child));
    dec(cfg); dec(child); return ioOk(code === undefined ? box(0) : mkCtor(1, [boxU32(code)]));
  }
  tryWait.sig = 'iiii'; put('l_IO_Process_Child_tryWait___boxed', tryWait);
  function kill(cfg, child, _w) {
    const dir = childDir(child);
    if (exitCode(dir) === undefined) { try { process.kill(-pid(child), 'SIGTERM'); } catch (e) { /* it just ended */ } setExitCode(dir, 143); }
    dec(cfg); dec(child); return ioOk(box(0));
  }
  kill.sig = 'iiii'; put('l_IO_Process_Child_kill___boxed', kill);
  const ownReadToEnd = E.l_IO_FS_Handle_readToEnd___boxed;
  function readToEnd(h, _w) {
    const link = `${base}/h${h}`;
    if (!fs.existsSync(link)) return ownReadToEnd(h, _w);
    const file = fs.readlinkSync(link);
    until(() => exitCode(path.dirname(file)) !== undefined);
    const data = fs.readFileSync(file); fs.rmSync(link); dec(h);
    return isUtf8(data) ? ioOk(mkStr(data)) : ioErr('Tried to read from handle containing non UTF-8 data.');
  }
  readToEnd.sig = 'iii'; put('l_IO_FS_Handle_readToEnd___boxed', readToEnd);
};

// With LEAN_BRIDGE_LOG set, says what each C++ exception is about: one that is not caught ends Lean without a word.
module.exports.thrown = (buffer, exception) => {
  if (!process.env.LEAN_BRIDGE_LOG) return;
  const b = Buffer.from(buffer), text = exception + 4;         // lean::throwable: a table of methods, a std::string
  const [at, length] = b[text + 11] & 128 ? [b.readUInt32LE(text), b.readUInt32LE(text + 4)] : [text, b[text + 11]];
  fs.writeSync(2, `[bridge] exception: ${Buffer.from(b.subarray(at, at + Math.min(length, 300)))}\n`);
};
