// Process bridge: overrides symbols in the table that dlsym (and so Lean's interpreter) reads.
const cp = require('child_process'), fs = require('fs');
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
  // EXPERIMENTAL spawn without piped stdin: runs to completion at once; piped stdout/stderr become temp files.
  const codes = new Map(); let next = 1;
  const boxU32 = n => { const o = mkCtor(0, [], 4); u32()[o + 8 >> 2] = n; return o; };
  function spawn(args, _w) {
    try {
      const p = parse(args); dec(args);
      if (p.stdio[0] === 0) return ioErr('bridge: spawn with piped stdin is not supported');
      const r = cp.spawnSync(p.cmd, p.args, Object.assign(p.opts, { stdio: ['ignore', 'pipe', 'pipe'], maxBuffer: 1 << 28 }));
      if (r.error) return ioErr(`could not execute external process '${p.cmd}': ${r.error.message}`);
      const id = (process.pid * 1000 + (next++)) & 0x3fffffff, hs = [box(0)];
      for (const [k, data] of [[1, r.stdout], [2, r.stderr]]) {
        if (p.stdio[k] !== 0) { if (p.stdio[k] === 1) fs.writeSync(k, data); hs.push(box(0)); continue; }
        const f = `${require('os').tmpdir()}/leanspawn.${id}.${k}.${Date.now()}`; fs.writeFileSync(f, data);
        const res = E.lean_io_prim_handle_mk(mkStr(f), 0); fs.unlinkSync(f);
        if (u8()[res + 7] !== 0) return res;
        hs.push(field(res, 0));
      }
      return ioOk(mkCtor(0, [...hs, box(r.status === null ? 255 : r.status), box(id)]));
    } catch (e) { return ioErr('bridge: ' + (e && e.stack || e)); }
  }
  spawn.sig = 'iii'; put('l_IO_Process_spawn___boxed', spawn);
  const code = c => field(c, 3) >> 1;
  const wait = (cfg, c, _w) => ioOk(boxU32(code(c))); wait.sig = 'iiii'; put('l_IO_Process_Child_wait___boxed', wait);
  const tryWait = (cfg, c, _w) => ioOk(mkCtor(1, [boxU32(code(c))])); tryWait.sig = 'iiii'; put('l_IO_Process_Child_tryWait___boxed', tryWait);
  const kill = (cfg, c, _w) => ioOk(box(0)); kill.sig = 'iiii'; put('l_IO_Process_Child_kill___boxed', kill);
};

// With LEAN_BRIDGE_LOG set, says what each C++ exception is about: one that is not caught ends Lean without a word.
module.exports.thrown = (buffer, exception) => {
  if (!process.env.LEAN_BRIDGE_LOG) return;
  const b = Buffer.from(buffer), text = exception + 4;         // lean::throwable: a table of methods, a std::string
  const [at, length] = b[text + 11] & 128 ? [b.readUInt32LE(text), b.readUInt32LE(text + 4)] : [text, b[text + 11]];
  fs.writeSync(2, `[bridge] exception: ${Buffer.from(b.subarray(at, at + Math.min(length, 300)))}\n`);
};
