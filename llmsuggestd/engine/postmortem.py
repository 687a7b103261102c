"""Explains why an engine died, from its exit status and last output, and names the remedy."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import signal
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from llmsuggestd.engine import cgroup
from llmsuggestd.environment import LIBRARY_PATHS
from llmsuggestd.units import size_text

CRASHES: Final = frozenset({"SIGSEGV", "SIGILL", "SIGBUS", "SIGABRT", "SIGFPE"})
"""Signals that the system sends for a process's own fault."""

LONGEST: Final = 300
"""Characters of an engine's output that a message quotes."""

_LIBRARY: Final = re.compile(
    r"cannot open shared object|file too short|invalid ELF header|wrong ELF class|undefined symbol"
    r"|symbol lookup error|version .* not found|static TLS|Library not loaded|image not found"
    r"|DLL load failed|Failed to load shared library|Shared library with base name"
)
_MISSING_LIBRARY: Final = re.compile(r"(\S+): cannot open shared object file: No such file")
_MEMORY: Final = re.compile(
    r"bad_alloc|MemoryError|insufficient memory|out of memory|Cannot allocate"
    r"|(failed|unable) to allocate",
    re.IGNORECASE,
)
_THREADS: Final = re.compile(r"Thread creation failed|can't start new thread")
_INSTALLATION: Final = re.compile(r"ModuleNotFoundError|ImportError|No module named")


class Death(NamedTuple):
    """An engine's unexpected end."""

    cause: str
    """A signal's name, or an exit code."""
    message: str
    hint: str
    """The remedy; empty if unknown."""
    passing: bool
    """Whether another try may work without a change."""
    crash: bool = False
    """Whether optional kernels may have caused it."""


def examine(
    code: int,
    words: str,
    during: str,
    model_bytes: int | None = None,
    variables: Mapping[str, str] = os.environ,
) -> Death:
    """Explain why a process ended with exit status `code` (in `subprocess`' form).

    `words` is the end of its standard error, `during` its activity, `model_bytes` the size of its
    model, and `variables` its environment.
    """
    cause = cause_of(code)
    last = last_line(words)
    if _LIBRARY.search(words):
        message = f"llama.cpp cannot be loaded: {_line_with(_LIBRARY, words)}"
        return Death(cause, message, _library_hint(words, variables), passing=False)
    if _MEMORY.search(words):
        what = f"the engine died while {during}: {_line_with(_MEMORY, words)}"
        return Death(cause, *out_of_memory(what, model_bytes), passing=True)
    if _THREADS.search(words):
        message = f"the engine died while {during}: the system grants it no more threads"
        hint = "raise the limit (`ulimit -u`, a container's pids limit), or set `threads = 1`"
        return Death(cause, message, hint, passing=True)
    if _INSTALLATION.search(words):
        message = f"the engine cannot start: {last}"
        return Death(cause, message, "install llmsuggestd again", passing=False)
    if cause in ("SIGKILL", "SIGTERM"):  # mostly from the kernel or earlyoom
        what = f"the engine died while {during}: killed ({cause}), probably out of memory"
        return Death(cause, *out_of_memory(what, model_bytes), passing=True)
    said = f": {last}" if last and (cause == "SIGABRT" or cause not in CRASHES) else ""
    hint = ""
    if cause == "SIGILL":
        hint = "install llmsuggestd again on this machine, with pip's `--no-cache-dir`"
    elif cause == "SIGBUS":
        hint = (
            "the model's file may have changed, or its disk may be failing: `llmsuggestd restart`"
        )
    return Death(
        cause,
        f"the engine died while {during} ({cause}){said}",
        hint,
        passing=cause not in CRASHES,
        crash=cause in CRASHES,
    )


def out_of_memory(what: str, model_bytes: int | None = None) -> tuple[str, str]:
    """The message and hint for a lack of memory; `what` says how it showed."""
    sizes = []
    if model_bytes is not None:
        sizes.append(f"the model has {size_text(model_bytes)}")
    if (available := memory_available()) is not None:
        sizes.append(f"{size_text(available)} of memory is available")
    message = f"{what} ({', '.join(sizes)})" if sizes else what
    smaller = "use a smaller model (`llmsuggestd models list`) or a smaller `context`"
    return message, f"close other programs, or {smaller}; then ask again"


def is_out_of_memory(words: str) -> bool:
    """Whether llama.cpp's message reports a lack of memory."""
    return _MEMORY.search(words) is not None and _LIBRARY.search(words) is None


def memory_available(proc: Path = Path("/proc")) -> int | None:
    """Number of bytes that this process may still allocate; None if unknown."""
    limits = [cgroup.memory_left(proc / "self"), *_own_limits()]
    with contextlib.suppress(OSError, ValueError, IndexError):
        lines = (proc / "meminfo").read_text().splitlines()
        told = next(line for line in lines if line.startswith("MemAvailable:"))
        limits.append(int(told.split()[1]) * 1024)
    return min((limit for limit in limits if limit is not None), default=None)


def memory_total() -> int:
    """Number of bytes of this machine's memory, or of the container's limit."""
    if sys.platform == "linux":
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        return min(total, cgroup.memory_limit() or total)
    import psutil

    return int(psutil.virtual_memory().total)


def _own_limits() -> Iterator[int]:
    """The memory limits that an engine inherits from this process (`ulimit -v`, `-d`)."""
    if sys.platform != "win32":
        import resource

        for kind in (resource.RLIMIT_AS, resource.RLIMIT_DATA):
            limit, _ = resource.getrlimit(kind)
            if limit != resource.RLIM_INFINITY:
                yield limit


def not_started(error: OSError) -> Death:
    """Explain why the system did not even start an engine."""
    message = f"the engine cannot be started: {error.strerror or error}"
    hint = {
        errno.ENOENT: "llmsuggestd was moved or upgraded: `llmsuggestd restart`",
        errno.EAGAIN: "raise the limit of processes (`ulimit -u`, a container's pids limit)",
        errno.EMFILE: "raise the limit of open files (`ulimit -n 1024`), `llmsuggestd restart`",
        errno.ENFILE: "end other programs: the system's limit of open files is reached",
    }.get(error.errno or 0, "")
    if error.errno == errno.ENOMEM:
        message, hint = out_of_memory(message)
    return Death("not started", message, hint, passing=True)


def cause_of(code: int) -> str:
    """A signal's name, or the exit code."""
    if code < 0:
        with contextlib.suppress(ValueError):
            return signal.Signals(-code).name
    if code == 0xC0000005:  # Windows: access violation
        return "SIGSEGV"
    if code == 0xC000001D:  # Windows: illegal instruction
        return "SIGILL"
    return f"exit code {code}"


def last_line(words: str) -> str:
    """The last line that is not blank, without an exception's name; empty if there is none."""
    lines = [line for line in words.splitlines() if line.strip()]
    return _short(lines[-1]) if lines else ""


def _line_with(pattern: re.Pattern[str], words: str) -> str:
    """The last line that matches a pattern."""
    return _short(next(line for line in reversed(words.splitlines()) if pattern.search(line)))


def _short(line: str) -> str:
    line = re.sub(r"^\s*(\w+\.)*\w+(Error|Exception): ", "", line).strip()
    line = re.sub(r"^Failed to load shared library '[^']*': ", "", line)  # added by llama_cpp
    return line if len(line) <= LONGEST else f"{line[:LONGEST]}…"


def _library_hint(words: str, variables: Mapping[str, str]) -> str:
    rebuild = "`llmsuggestd install --accelerator cpu` builds llama.cpp again"
    if (chosen := variables.get("LLAMA_CPP_LIB_PATH")) and "'llama'" in words:
        return f"`unset LLAMA_CPP_LIB_PATH` ({chosen}), then `llmsuggestd restart`"
    set_here = [name for name in LIBRARY_PATHS if variables.get(name)]
    if (missing := _MISSING_LIBRARY.search(words)) is not None:
        return f"install the package that has {missing[1]}, or {rebuild}"
    if not set_here:
        return rebuild
    return (
        f"`unset {' '.join(set_here)}`, then `llmsuggestd restart`: it puts other libraries before"
        " the system's"
    )
