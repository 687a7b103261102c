"""One process at a time: a lock on a file, which the system takes back when the process ends."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO

from llmsuggestd.errors import ConfigError


@contextlib.contextmanager
def only_one(file: Path, refused: Callable[[str], Exception]) -> Iterator[None]:
    """Hold the lock on `file` while the block runs; the file then holds our process id.

    Raises what `refused` makes of the holder's process id if another process has the lock,
    ConfigError if the file cannot be written.
    """
    try:
        handle = file.open("a+")
    except OSError as error:
        raise ConfigError(
            f"cannot write the lock {file}: {error.strerror}", "move what is there away"
        ) from error
    with handle:
        if not _locked(handle):
            raise refused(_pid_in(handle))
        with contextlib.suppress(OSError):  # a full disk: the lock holds without the pid
            os.ftruncate(handle.fileno(), 0)
            os.write(handle.fileno(), str(os.getpid()).encode())
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                os.ftruncate(handle.fileno(), 0)


def holder(file: Path) -> int | None:
    """The process that holds the lock on `file`, or None if nobody does.

    Asks the lock and not the process: a pid that a crash has left behind may be somebody else's.
    """
    try:
        with file.open("r+") as handle:
            pid = handle.read().strip()
            if not pid.isdigit():
                return None
            try:
                _lock(handle.fileno())
            except OSError:
                return int(pid)
            return None
    except OSError:  # there is none, or none of ours
        return None


def _locked(handle: TextIO) -> bool:
    """Take the lock; who only asks for the holder has it for a moment, too."""
    for _ in range(3):
        with contextlib.suppress(OSError):
            _lock(handle.fileno())
            return True
        time.sleep(0.05)
    return False


def _pid_in(handle: TextIO) -> str:
    """The pid in a lock file; its holder may be just about to write it."""
    for _ in range(10):
        handle.seek(0)
        if pid := handle.read().strip():
            return pid
        time.sleep(0.05)
    return "unknown"


def _lock(descriptor: int) -> None:
    if sys.platform == "win32":
        import msvcrt

        # far past the end: Windows would keep others from reading the locked bytes
        os.lseek(descriptor, 2**20, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        os.lseek(descriptor, 0, os.SEEK_SET)
    else:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
