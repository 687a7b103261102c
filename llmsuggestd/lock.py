"""Lets only one process run at a time, with a lock on a file.

The system releases the lock when its holder ends. While the lock is held, the file contains the
holder's process number, for scripts. A file beside it (`identity_file`) has the holder's whole
identity.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import platform
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from llmsuggestd.errors import ConfigError
from llmsuggestd.file_errors import failed
from llmsuggestd.identity import Process

UNKNOWN: Final = Process()
"""A holder that has not written its identity: it is about to, or the disk is full."""

NO_LOCKS: Final = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL})
"""The errors of a file system without locks, such as NFS without lockd or Lustre by default."""


@contextlib.contextmanager
def only_one(file: Path, refused: Callable[[Process], Exception]) -> Iterator[None]:
    """Hold the lock on `file` while the block runs. Meanwhile, the file names our process.

    If another process holds the lock, raises the exception that `refused` returns for it. Raises
    ConfigError if the file cannot be written or locked.
    """
    try:
        handle = file.open("a+b")
    except OSError as error:
        raise failed(ConfigError, "cannot write the lock", file, error) from error
    with handle, contextlib.ExitStack() as held:
        if not _taken(handle, held, file):
            raise refused(_record_soon(handle))
        process = Process.current()
        with contextlib.suppress(OSError):  # a full disk: the lock holds without the record
            identity_file(file).write_bytes(msgspec.json.encode(process))
            os.ftruncate(handle.fileno(), 0)
            os.write(handle.fileno(), str(process.pid).encode())
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                identity_file(file).unlink(missing_ok=True)
                os.ftruncate(handle.fileno(), 0)


def identity_file(file: Path) -> Path:
    """The file beside a lock with the identity of its holder."""
    return file.with_name(f"{file.name}.json")


def holder(file: Path) -> Process | None:
    """The process that holds the lock on `file`; None if there is none, or it is still unnamed.

    The lock decides, not the file's content, which may be left from a crash.
    """
    try:
        with file.open("r+b") as handle:
            record = _record(handle)
            return record if record is not None and _is_held(handle) else None
    except OSError:  # the file does not exist, or is not ours
        return None


def is_held(file: Path) -> bool:
    """Whether a process holds the lock on `file`, whatever the file's content."""
    try:
        with file.open("r+b") as handle:
            return _is_held(handle)
    except OSError:
        return False


def _is_held(handle: BinaryIO) -> bool:
    with contextlib.ExitStack() as held:
        try:
            _lock(handle, held, shared=True)  # two such checks must not block each other
        except BlockingIOError:
            return True
        return False


def _taken(handle: BinaryIO, held: contextlib.ExitStack, file: Path) -> bool:
    """Take the lock if it is free. Returns whether it was taken.

    Tries more than once, since a process that looks for the holder takes the lock for a moment.
    Raises ConfigError if the file cannot be locked.
    """
    for _ in range(3):
        try:
            _lock(handle, held)
        except BlockingIOError:
            time.sleep(0.05)
        except OSError as error:
            raise ConfigError(
                f"cannot lock {file}: {error.strerror}",
                "set LLMSUGGESTD_HOME, also for the editor, to a folder on a local disk",
            ) from error
        else:
            return True
    return False


def _record(handle: BinaryIO) -> Process | None:
    """The process that the file names, if any. Only its number is known if its identity is not."""
    handle.seek(0)
    text = handle.read().strip()
    if not text.isdigit():
        return UNKNOWN if text else None
    with contextlib.suppress(OSError, msgspec.DecodeError):
        record = identity_file(Path(os.fsdecode(handle.name))).read_bytes()
        process = msgspec.json.decode(record, type=Process)
        if process.pid == int(text):
            return process
    return Process(pid=int(text))


def _record_soon(handle: BinaryIO) -> Process:
    """The process that the file names. Waits a moment for the holder to write that."""
    for _ in range(10):
        if (record := _record(handle)) is not None:
            return record
        time.sleep(0.05)
    return UNKNOWN


def _lock(handle: BinaryIO, held: contextlib.ExitStack, *, shared: bool = False) -> None:
    """Lock a file until it is closed and `held` ends.

    Raises BlockingIOError if, and only if, another process holds the lock; OSError if the file
    cannot be locked.
    """
    if sys.platform == "win32":
        _lock_region(handle.fileno())
        return
    import fcntl

    try:
        kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        fcntl.flock(handle.fileno(), kind | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in NO_LOCKS or sys.platform != "linux":
            raise
        _check_other_machines(handle)
        held.enter_context(_stand_in(handle.fileno()))


def _lock_region(descriptor: int) -> None:
    """Lock a byte far past the end, since on Windows no other process can read a locked byte."""
    import msvcrt

    os.lseek(descriptor, 2**20, os.SEEK_SET)
    try:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined, unused-ignore]
    except PermissionError as error:
        raise BlockingIOError(*error.args) from error
    finally:
        os.lseek(descriptor, 0, os.SEEK_SET)


def _stand_in(descriptor: int) -> socket.socket:
    """An abstract Unix socket that replaces the lock on a file system without locks.

    Only one process on this machine can bind its name, and the system frees the name when that
    process ends. Raises BlockingIOError if another process has it.
    """
    info = os.fstat(descriptor)
    name = hashlib.sha256(f"{os.getuid()} {info.st_dev} {info.st_ino}".encode()).hexdigest()
    stand_in = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        stand_in.bind(f"\0llmsuggestd-{name[:32]}")
    except OSError as error:
        stand_in.close()
        if error.errno == errno.EADDRINUSE:
            raise BlockingIOError(error.errno, "held") from error
        raise
    return stand_in


def _check_other_machines(handle: BinaryIO) -> None:
    """Raise BlockingIOError if the file names a process on another machine.

    Without locks, we cannot find out whether that process still runs.
    """
    record = _record(handle)
    if record is not None and record.host not in ("", platform.node()):
        raise BlockingIOError(errno.EAGAIN, "held")
