"""The kernels that crash on this machine, remembered in `Paths.engine_memory`."""

from __future__ import annotations

import hashlib
import json
import logging
import platform
import time
from pathlib import Path
from typing import Any, Final

from llmsuggestd.engine import builds
from llmsuggestd.engine.protocol import KERNELS, Kernels
from llmsuggestd.files import write_atomically
from llmsuggestd.paths import Paths
from llmsuggestd.version import __version__

log = logging.getLogger(__name__)

MAX_RECORDS: Final = 20
"""Maximum number of recorded machines and builds. Each upgrade adds another."""


def machine_and_build(paths: Paths) -> str:
    """A digest of the CPU's features, the build of llama.cpp and our version."""
    try:
        cpu = next(
            line for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith(("flags", "Features"))
        )  # fmt: skip
    except (OSError, StopIteration):
        cpu = platform.processor()
    library = builds.library(builds.chosen(paths))
    built = max((file.stat().st_mtime_ns for file in library.glob("*")), default=0)
    text = f"{cpu} {builds.version()} {library} {built} {__version__}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def recall(paths: Paths) -> frozenset[Kernels]:
    """The kernels that crashed before, on this machine and with this build."""
    try:
        crashed = _read(paths)[machine_and_build(paths)]["crashed"]
        return frozenset(k for k in KERNELS if k in crashed)
    except (KeyError, TypeError):
        return frozenset()


def remember(paths: Paths, crashed: frozenset[Kernels]) -> None:
    """Record which kernels crash, for later engines and for `doctor`.

    Records of other machines that share the file are kept, up to a maximum number.
    """
    records = _read(paths)
    records.pop(key := machine_and_build(paths), None)
    records[key] = {"crashed": sorted(crashed), "when": time.strftime("%Y-%m-%d")}
    latest = dict(list(records.items())[-MAX_RECORDS:])
    try:
        write_atomically(paths.engine_memory, json.dumps(latest, indent=2).encode())
    except OSError as error:
        log.warning("cannot write %s: %s", paths.engine_memory, error)


def _read(paths: Paths) -> dict[str, Any]:
    """The record of each machine and build, the latest last."""
    try:
        records = json.loads(paths.engine_memory.read_text())
    except (OSError, ValueError):
        return {}
    return records if isinstance(records, dict) else {}
