"""Restarts a running daemon as the new version after an upgrade.

pip, pipx, uv and dpkg replace files without notice. Without a restart, the daemon would go on with
its old modules, which are in memory, and start its next engine from the new version's files.
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
"""Poll interval in seconds, since an upgrade raises no event."""

TRIAL_TIMEOUT: Final = 30.0
"""Timeout for the installed version to answer `--version`, in seconds."""


async def wait_until_replaced() -> None:
    """Wait until a complete and working installation has replaced the one that this process runs.

    Waits for ever if the running installation has no list of its files to compare with.
    """
    first = last = installed()
    while first is not None:
        await asyncio.sleep(INTERVAL)
        now = await asyncio.to_thread(installed)
        if now not in (None, first) and now == last and await asyncio.to_thread(_works):
            return
        last = now  # a list that still changes is not complete
    await asyncio.Event().wait()


def installed() -> str | None:
    """The list of the installed files with their digests; None if the list is missing."""
    with contextlib.suppress(metadata.PackageNotFoundError, OSError, ValueError):
        return metadata.distribution("llmsuggestd").read_text("RECORD")
    # The environment may now have another Python, whose folders this process does not search.
    with contextlib.suppress(OSError, ValueError, subprocess.SubprocessError):
        return _output(sys.executable, *PYTHON_OPTIONS, "-c", _SAY_RECORD) or None
    return None


_SAY_RECORD: Final = """
from importlib import metadata
print(metadata.distribution("llmsuggestd").read_text("RECORD"))
"""


def _works() -> bool:
    """Whether the installed version starts, and can be started with this process's command."""
    command = _command()
    try:
        command[command.index("serve") :] = ["--version"]
        _output(*command)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        log.warning("another version is installed, but it does not start: %s", error)
        return False
    return True


def _output(*command: str) -> str:
    """A command's output. Raises OSError, subprocess.SubprocessError, ValueError if not UTF-8."""
    result = subprocess.run(
        command, capture_output=True, encoding="utf-8", timeout=TRIAL_TIMEOUT, check=True
    )
    return result.stdout


def start_again() -> NoReturn:
    """Replace this process by the installed version, with the same command and environment.

    All sockets, files and engines must be closed. Raises OSError.
    """
    command = _command()
    log.info("another version is installed: starting again")
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(command[0], command)  # noqa: S606


def _command() -> list[str]:
    """The command line that started this process."""
    return [sys.executable, *sys.orig_argv[1:]]


def finish(paths: Paths) -> None:
    """Renew the user's copies of the Lean package and the starter model after an upgrade.

    Only `install` renews the service manager's files.
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
