"""Why an engine ended: what its exit status and its last words mean, and what to do about it."""

from __future__ import annotations

import contextlib
import os
import re
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from llmsuggestd.engine import cgroup
from llmsuggestd.environment import LIBRARY_PATHS
from llmsuggestd.units import size_text

CRASHES: Final = frozenset({"SIGSEGV", "SIGILL", "SIGBUS", "SIGABRT", "SIGFPE"})
"""The signals with which the system ends a process for what it did itself."""

LONGEST: Final = 300
"""Characters of last words that a message quotes."""

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
_INSTALLATION: Final = re.compile(r"ModuleNotFoundError|ImportError|No module named")


class Death(NamedTuple):
    """The end of an engine that was not asked to end."""

    cause: str
    """A signal's name, or an exit code."""
    message: str
    hint: str
    """What to do; empty if nobody knows."""
    passing: bool
    """Whether another try may work, though nobody has mended anything."""
    crash: bool = False
    """Whether a faster path of llama.cpp, or of ours, may be to blame."""


def examine(
    code: int,
    words: str,
    during: str,
    model_bytes: int | None = None,
    variables: Mapping[str, str] = os.environ,
) -> Death:
    """Say why a process ended with exit status `code` (as `subprocess` has it).

    `words` is the end of what it wrote, `during` what it was at, `model_bytes` the size of its
    model, and `variables` the environment that it started in.
    """
    cause = cause_of(code)
    last = last_line(words)
    if _LIBRARY.search(words):
        line = next(line for line in reversed(words.splitlines()) if _LIBRARY.search(line))
        hint = _library_hint(words, variables)
        return Death(cause, f"llama.cpp cannot be loaded: {_short(line)}", hint, passing=False)
    if _MEMORY.search(words):
        message, hint = out_of_memory(f"the engine died while {during}: {last}", model_bytes)
        return Death(cause, message, hint, passing=True)
    if _INSTALLATION.search(words):
        message = f"the engine cannot start: {last}"
        return Death(cause, message, "install llmsuggestd again", passing=False)
    if cause in ("SIGKILL", "SIGTERM"):  # of the kernel or of earlyoom, mostly
        what = f"the engine died while {during}: killed ({cause}), probably out of memory"
        return Death(cause, *out_of_memory(what, model_bytes), passing=True)
    said = f": {last}" if last and (cause == "SIGABRT" or cause not in CRASHES) else ""
    hint = ""
    if cause == "SIGILL":
        hint = "`llmsuggestd install --accelerator cpu` builds llama.cpp for this processor"
    elif cause == "SIGBUS":
        hint = "the model's file may have changed, or its disk fail: `llmsuggestd restart`"
    return Death(
        cause,
        f"the engine died while {during} ({cause}){said}",
        hint,
        passing=cause not in CRASHES,
        crash=cause in CRASHES,
    )


def out_of_memory(what: str, model_bytes: int | None = None) -> tuple[str, str]:
    """The message and hint where memory is short; `what` is how that was noticed."""
    sizes = []
    if model_bytes is not None:
        sizes.append(f"the model has {size_text(model_bytes)}")
    if (available := memory_available()) is not None:
        sizes.append(f"{size_text(available)} of memory are available")
    message = f"{what} ({', '.join(sizes)})" if sizes else what
    smaller = "take a smaller model (`llmsuggestd models list`) or a smaller `context`"
    return message, f"close what else needs memory, or {smaller}; then ask again"


def is_out_of_memory(words: str) -> bool:
    """Whether words of llama.cpp's say so."""
    return _MEMORY.search(words) is not None and _LIBRARY.search(words) is None


def memory_available(proc: Path = Path("/proc")) -> int | None:
    """Bytes of memory that a process like this one may still get; None where nobody says."""
    limits = [cgroup.memory_left(proc / "self")]
    with contextlib.suppress(OSError, ValueError, IndexError):
        lines = (proc / "meminfo").read_text().splitlines()
        told = next(line for line in lines if line.startswith("MemAvailable:"))
        limits.append(int(told.split()[1]) * 1024)
    return min((limit for limit in limits if limit is not None), default=None)


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
    """The last line that says something, without the name of an exception; empty if none does."""
    lines = [line for line in words.splitlines() if line.strip()]
    return _short(lines[-1]) if lines else ""


def _short(line: str) -> str:
    line = re.sub(r"^\s*(\w+\.)*\w+(Error|Exception): ", "", line).strip()
    line = re.sub(r"^Failed to load shared library '[^']*': ", "", line)  # llama_cpp's words
    return line if len(line) <= LONGEST else f"{line[:LONGEST]}…"


def _library_hint(words: str, variables: Mapping[str, str]) -> str:
    rebuild = "`llmsuggestd install --accelerator cpu` builds llama.cpp again"
    set_here = [name for name in LIBRARY_PATHS if variables.get(name)]
    if (missing := _MISSING_LIBRARY.search(words)) is not None:
        return f"install what brings {missing[1]}, or {rebuild}"
    if not set_here:
        return rebuild
    return (
        f"`unset {' '.join(set_here)}`, then `llmsuggestd restart`: it puts other libraries before"
        " the system's"
    )
