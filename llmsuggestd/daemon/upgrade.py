"""An upgrade under a running daemon: it starts again, as the version that is installed now.

pip, pipx, uv and dpkg replace files and tell nobody. A daemon that went on would have its own
modules in memory, and would start its next engine from another version's.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import subprocess
import sys
from importlib import metadata
from typing import Final, NoReturn

import msgspec

from llmsuggestd import lean_package, manifest
from llmsuggestd.environment import PYTHON_OPTIONS
from llmsuggestd.errors import LlmsuggestdError
from llmsuggestd.models import store
from llmsuggestd.paths import Paths
from llmsuggestd.version import __version__

log = logging.getLogger(__name__)

INTERVAL: Final = 15.0
"""Seconds between two looks at what is installed."""

TRIAL_TIMEOUT: Final = 30.0
"""Seconds in which what is installed must answer a question."""


async def replaced() -> None:
    """Return when another installation is where this process came from, complete and working."""
    first = last = installed()
    while first is not None:  # else nobody can tell what an upgrade would be
        await asyncio.sleep(INTERVAL)
        now = await asyncio.to_thread(installed)
        if now not in (None, first) and now == last and await asyncio.to_thread(_works):
            return
        last = now  # files that still change are not complete
    await asyncio.Event().wait()


def installed() -> str | None:
    """What is installed: the list of all files, with their digests; None while there is none."""
    with contextlib.suppress(metadata.PackageNotFoundError, OSError, ValueError):
        return metadata.distribution("llmsuggestd").read_text("RECORD")
    # The environment may have another Python now, whose folders this one does not look into.
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        return _output(sys.executable, *PYTHON_OPTIONS, "-c", _SAY_RECORD) or None
    return None


_SAY_RECORD: Final = """
from importlib import metadata
print(metadata.distribution("llmsuggestd").read_text("RECORD"))
"""


def _works() -> bool:
    """Whether what is installed can be started."""
    command = _command()
    command[command.index("serve") :] = ["--version"]
    try:
        _output(*command)
    except (OSError, subprocess.SubprocessError) as error:
        log.warning("another version is installed, but it does not start: %s", error)
        return False
    return True


def _output(*command: str) -> str:
    """What a command prints. Raises OSError, subprocess.SubprocessError."""
    result = subprocess.run(
        command, capture_output=True, encoding="utf-8", timeout=TRIAL_TIMEOUT, check=True
    )
    return result.stdout


def start_again() -> NoReturn:
    """Become the daemon that is installed now: the same process, command and environment.

    Everything must be closed. Raises OSError.
    """
    command = _command()
    log.info("another version is installed: starting again")
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(command[0], command)  # noqa: S606


def _command() -> list[str]:
    """How this process was started."""
    return [sys.executable, *sys.orig_argv[1:]]


def finish(paths: Paths) -> None:
    """Renew what is among the user's data of the version that was installed before.

    What `install` does besides, for the service manager, it does when it is run again.
    """
    before = manifest.read(paths)
    if not before.version:
        return  # `install` has not been run
    try:
        if not lean_package.is_current(paths):
            lean_package.place(paths)
        if before.version != __version__:
            store.place_starter(paths)
            manifest.write(paths, msgspec.structs.replace(before, version=__version__))
            log.info("upgraded from version %s to %s", before.version, __version__)
    except (LlmsuggestdError, OSError) as error:
        log.warning("cannot finish the upgrade from version %s: %s", before.version, error)
