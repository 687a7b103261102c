"""The daemon's log: standard error, and when that is `daemon.log`, not for ever growing.

A service manager keeps what the daemon writes; without one, `start` (and launchd) let standard
error be `daemon.log`. The engine writes there too, through a descriptor of its own, so that the
file is copied and emptied rather than renamed.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import sys
from typing import Final

from llmsuggestd.paths import Paths

MAX_BYTES: Final = 1_000_000
"""Of the log; it is then set aside."""


def set_up(paths: Paths) -> None:
    """Log to standard error from now on."""
    logging.raiseExceptions = False  # a full disk is no reason to fail
    handler = _Handler(paths)
    handler.setFormatter(
        logging.Formatter("%(asctime)s %(levelname)s %(message)s", datefmt="%F %T")
    )
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)


class _Handler(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes to standard error, and rotates it if it is the log file."""

    def __init__(self, paths: Paths) -> None:
        super().__init__(sys.stderr)
        self._file, self._old = paths.log_file, paths.old_logs

    def emit(self, record: logging.LogRecord) -> None:
        super().emit(record)
        with contextlib.suppress(OSError, ValueError):  # no disk, or no standard error
            self._rotate()

    def _rotate(self) -> None:
        descriptor = self.stream.fileno()
        info = os.fstat(descriptor)
        if info.st_size < MAX_BYTES or not os.path.samestat(info, self._file.stat()):
            return
        try:
            names = self._old
            for old, new in zip(reversed(names[:-1]), reversed(names), strict=False):
                if old.exists():
                    old.replace(new)
            shutil.copyfile(self._file, names[0])
        finally:
            os.ftruncate(descriptor, 0)  # also when there is no room for the copy
