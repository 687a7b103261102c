"""The daemon's log: standard error, rotated when it is `daemon.log`.

`start` and every service manager redirect standard error to `daemon.log`, so `llmsuggestd logs`
shows the same on every system. Only `serve` in a terminal or a container writes elsewhere. The
engine writes to the same file past the logging module, so rotation copies and truncates the file
instead of renaming it.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import shutil
import sys
from typing import Final

from llmsuggestd.errors import ConfigError
from llmsuggestd.files import make_private
from llmsuggestd.paths import Paths

MAX_BYTES: Final = 1_000_000
"""Size of the log at which it is rotated."""


def set_up(paths: Paths, *, to_file: bool = False) -> None:
    """Log to standard error; with `to_file`, redirect that to `daemon.log` first."""
    if to_file:
        _use_file(paths)
    logging.raiseExceptions = False  # a full disk must not stop the daemon
    handler = _Handler(paths)
    handler.setFormatter(
        logging.Formatter("%(asctime)s %(levelname)s %(message)s", datefmt="%F %T")
    )
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    atexit.register(_drop_unwritten)


def _drop_unwritten() -> None:
    """Discard output that a full disk has refused. Python would retry it, and exit with 120."""
    try:
        sys.stderr.flush()
    except (OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        os.close(nowhere)


def _use_file(paths: Paths) -> None:
    """Redirect standard output and error to `daemon.log`, for this process and its engine.

    If the file cannot be opened, they stay as they are.
    """
    try:
        make_private(paths.state)
        descriptor = os.open(paths.log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    except (OSError, ConfigError) as error:
        print(f"cannot log to {paths.log_file}: {error}", file=sys.stderr)
        return
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)
    if sys.stderr is None:  # Windows' pythonw has none
        sys.stdout = sys.stderr = os.fdopen(2, "w", encoding="utf-8", buffering=1)


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
            os.ftruncate(descriptor, 0)  # even without room for the copy
