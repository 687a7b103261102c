"""Runs Lean files for the tests, with the native Lean if its version matches, else the npm one."""

from __future__ import annotations

import functools
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support import npm
from tests.support.leanwasm import install
from tests.support.leanwasm.worker import Worker

PACKAGE = Path(__file__).resolve().parents[3] / "lean"
_IMPORT = re.compile(r"^(?:public\s+)?(?:meta\s+)?import\s+(?:all\s+)?(\S+)\s*$", re.MULTILINE)
# As in lakefile.toml.
_PACKAGE_OPTIONS = ("-Dweak.linter.missingDocs=true",)
_ARTIFACTS = (".olean", ".olean.server", ".olean.private", ".ir")
# Harmless output of the npm Lean.
_NOISE = ("  - /", "  mainModule?", "PANIC at _private.Lean.Environment.0.Lean.AsyncConsts.add")

# Text that the npm Lean needs at the end of a module. An RPC method's attribute makes a wrapper for
# it, whose code is in the `.ir`. This Lean does not read that, so it gets another wrapper.
_WRAP_METHODS = """
run_cmd for decl in Lean.IR.getDecls (← Lean.getEnv) do
  if let .str method "_rpc_wrapped" := decl.name then
    let wrapper := method ++ `wrapper
    Lean.Elab.Command.elabCommand (← `(
      set_option linter.missingDocs false in
      public meta def $(Lean.mkIdent (`_root_ ++ wrapper)) : Lean.Server.RpcProcedure :=
        Lean.Server.wrapRpcProcedure $(Lean.quote method) _ _ $(Lean.mkIdent method)))
    Lean.modifyEnv (Lean.Server.userRpcProcedures.insert · method wrapper)
"""
_FINISH = "\n#eval WasmShim.finish\n"


class NoLeanError(Exception):
    """No Lean is installed, and none can be downloaded. Tests are skipped with the message."""


@dataclass(frozen=True)
class Result:
    """The result of a run of Lean."""

    output: str
    exit_code: int
    seconds: float


@dataclass(frozen=True)
class _Module:
    """A local module to compile."""

    name: str
    text: str
    imports: tuple[_Module, ...]
    key: str

    def closure(self) -> set[_Module]:
        """The module, and all local modules that it imports, also indirectly."""
        return {self}.union(*(module.closure() for module in self.imports))


class Lean:
    """A Lean that elaborates files. Their imports from local folders are compiled first."""

    def __init__(self, command: Sequence[str], stamp: str, *, wasm: bool) -> None:
        self.wasm = wasm
        self._command = [*command, "-Dcompiler.checkMeta=false"] if wasm else list(command)
        self._stamp = stamp
        self._store = install.cache_dir() / "modules"

    def compile_package(self) -> None:
        """Compile the modules of the package, each in at most three minutes."""
        files = [PACKAGE / "LlmSuggest.lean", *PACKAGE.glob("LlmSuggest/*.lean")]
        names = [".".join(file.relative_to(PACKAGE).with_suffix("").parts) for file in files]
        for module in self._imports("\n".join(f"import {name}" for name in names), (PACKAGE,)):
            self._compiled(module)

    def run(
        self,
        file: Path,
        *,
        env: Mapping[str, str] | None = None,
        options: Sequence[str] = (),
        timeout: float = 180,
    ) -> Result:
        """Elaborate a file, like `lean FILE`. Modules are searched beside it and in `lean/`."""
        with tempfile.TemporaryDirectory(prefix="lean-") as tree:
            self._link(self._imports(file.read_text(), (PACKAGE, file.parent)), Path(tree))
            start = time.monotonic()
            process = subprocess.run(
                [*self._command, *options, str(file)],
                env={**os.environ, "LEAN_PATH": tree, **(env or {})},
                capture_output=True,
                text=True,
                timeout=timeout,
            )
            seconds = time.monotonic() - start
            output = process.stdout + _without_noise(process.stderr)
            return Result(output, process.returncode, seconds)

    @contextmanager
    def server(
        self, file: Path, text: str, env: Mapping[str, str]
    ) -> Iterator[subprocess.Popen[bytes]]:
        """A language server's process for a file with this text."""
        with tempfile.TemporaryDirectory(prefix="lean-") as tree:
            self._link(self._imports(text, (PACKAGE, file.parent)), Path(tree))
            errors = Path(tree) / "stderr"
            with errors.open("wb") as output:
                process = subprocess.Popen(
                    [*self._command, "--worker", file.absolute().as_uri()],
                    env={**os.environ, "LEAN_PATH": tree, **env},
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=output,
                )
            try:
                yield process
            except BaseException as error:
                if (code := process.poll()) is not None:
                    said = _without_noise(errors.read_text(errors="replace"))
                    error.add_note(f"Lean had ended with code {code}: {said[-2000:]}")
                raise
            finally:
                process.kill()
                process.wait()

    @contextmanager
    def process(
        self, file: Path, env: Mapping[str, str], options: Sequence[str] = ()
    ) -> Iterator[subprocess.Popen[str]]:
        """Like `run`, as a running process whose standard error can be read. Killed at the end."""
        with tempfile.TemporaryDirectory(prefix="lean-") as tree:
            self._link(self._imports(file.read_text(), (PACKAGE, file.parent)), Path(tree))
            process = subprocess.Popen(
                [*self._command, *options, str(file)],
                env={**os.environ, "LEAN_PATH": tree, **env},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                encoding="utf-8",
                errors="replace",
            )
            try:
                yield process
            finally:
                process.kill()
                process.wait()

    @contextmanager
    def worker(self, file: Path, text: str, env: Mapping[str, str]) -> Iterator[Worker]:
        """The language server for a file that an editor has opened with this text."""
        with self.server(file, text, env) as process:
            worker = Worker(process, file.absolute().as_uri(), text)
            yield worker
            worker.close()

    def _imports(self, text: str, roots: Sequence[Path]) -> tuple[_Module, ...]:
        """The local modules that a text imports."""
        names = _IMPORT.findall(text)
        found = (self._module(name, roots) for name in names)
        return tuple(module for module in found if module is not None)

    def _module(self, name: str, roots: Sequence[Path]) -> _Module | None:
        """The module with this name below the roots, or None if it is not local."""
        relative = name.replace(".", "/") + ".lean"
        source = next((root / relative for root in roots if (root / relative).exists()), None)
        if source is None:
            return None
        text = source.read_text()
        imports = self._imports(text, roots)
        if self.wasm:
            text = _for_wasm(text)
        parts = [self._stamp, name, text, *(module.key for module in imports)]
        key = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
        return _Module(name, text, imports, key)

    def _link(self, modules: Sequence[_Module], tree: Path) -> None:
        """Link the compiled modules, and those that they import, in a folder for LEAN_PATH."""
        for module in set[_Module]().union(*(module.closure() for module in modules)):
            stored = self._compiled(module)
            target = tree / module.name.replace(".", "/")
            target.parent.mkdir(parents=True, exist_ok=True)
            for suffix in _ARTIFACTS:
                if (artifact := stored / f"module{suffix}").exists():
                    shutil.copy(artifact, f"{target}{suffix}")

    def _compiled(self, module: _Module) -> Path:
        """The directory of a module's compiled files. Compiles the module if it is missing."""
        stored = self._store / module.key
        if stored.exists():
            return stored
        self._store.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="build-", dir=self._store) as build:
            tree, source, out = (Path(build) / name for name in ("tree", "source", "out"))
            self._link(module.imports, tree)
            relative = Path(module.name.replace(".", "/") + ".lean")
            (source / relative).parent.mkdir(parents=True)
            (source / relative).write_text(module.text)
            out.mkdir()
            with install.locked(self._store):
                if stored.exists():
                    return stored
                process = subprocess.run(
                    [*self._command, *_PACKAGE_OPTIONS, "-o", f"{out}/module.olean", relative],
                    cwd=source,
                    env={**os.environ, "LEAN_PATH": str(tree)},
                    capture_output=True,
                    text=True,
                    timeout=180,
                )
                messages = _without_noise(process.stdout + process.stderr)
                if process.returncode != 0 or messages:
                    raise AssertionError(f"{module.name} does not compile cleanly:\n{messages}")
                out.rename(stored)
        return stored


def _without_noise(text: str) -> str:
    return "\n".join(x for x in text.splitlines() if x and not x.startswith(_NOISE))


def _for_wasm(text: str) -> str:
    """A module's text, changed so that the npm Lean can import it, with the same line numbers.

    That Lean finds compiled code only under names that the shim has registered.
    """
    text = re.sub(r"^module$", "module public import WasmShim", text, count=1, flags=re.MULTILINE)
    return text + (_WRAP_METHODS if "@[server_rpc_method]" in text else "") + _FINISH


@functools.cache
def find_lean() -> Lean:
    """The native Lean if it has the package's version, else the npm one."""
    wanted = (PACKAGE / "lean-toolchain").read_text().strip().rpartition(":v")[2]
    if shutil.which("lean") is not None:
        version = subprocess.run(
            ["lean", "--version"], cwd=PACKAGE, capture_output=True, text=True, timeout=300
        )
        if f"version {wanted}," in version.stdout:
            return Lean(["lean"], version.stdout, wasm=False)
    if (reason := install.unsupported()) is not None:
        raise NoLeanError(f"no Lean {wanted} on this machine, and {reason}")
    try:
        kit = install.install()
    except npm.FetchError as error:
        raise NoLeanError(f"no Lean {wanted} on this machine, and {error}") from error
    return Lean(install.command(kit), kit.name, wasm=True)


def run_lean(
    file: Path,
    *,
    env: Mapping[str, str] | None = None,
    options: Sequence[str] = (),
    timeout: float = 180,
) -> Result:
    """`find_lean().run(...)`."""
    return find_lean().run(file, env=env, options=options, timeout=timeout)
