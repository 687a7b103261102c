"""The discovery file `client.json`, which has the addresses of this home's daemon.

Several machines may share the configuration directory. So a record names the process that wrote it,
and a daemon removes only its own record. A client that gets no answer there tries the socket's
usual place.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import msgspec

from llmsuggestd.files import write_atomically
from llmsuggestd.identity import Process
from llmsuggestd.paths import Paths
from llmsuggestd.version import __version__


class Record(Process, frozen=True, kw_only=True):
    """A daemon's process and addresses."""

    socket: str | None
    """The path of its Unix socket, if it has one."""
    url: str
    """The URL of its port, `http://127.0.0.1:PORT`."""
    token_file: str
    """The file with the bearer token for the port."""
    version: str = __version__


def read(paths: Paths) -> Record:
    """The record of the daemon that started last. Raises OSError, msgspec.DecodeError."""
    return msgspec.json.decode(paths.client_file.read_bytes(), type=Record)


@contextlib.contextmanager
def announced(paths: Paths, record: Record) -> Iterator[None]:
    """Write our record while the block runs, then restore another machine's record, if any.

    Raises OSError if the file cannot be written.
    """
    before = _of_another_machine(paths)
    _write(paths, record)
    try:
        yield
    finally:
        if forget(paths, record) and before is not None:
            with contextlib.suppress(OSError):
                _write(paths, before)


def forget(paths: Paths, process: Process) -> bool:
    """Remove the file if that process wrote it. Returns whether it was removed."""
    try:
        record = read(paths)
        if (record.pid, record.machine) != (process.pid, process.machine):
            return False
        paths.client_file.unlink()
        return True
    except (OSError, msgspec.DecodeError):
        return False


def _of_another_machine(paths: Paths) -> Record | None:
    try:
        record = read(paths)
    except (OSError, msgspec.DecodeError):
        return None
    return record if record.is_elsewhere else None


def _write(paths: Paths, record: Record) -> None:
    data = msgspec.json.format(msgspec.json.encode(record), indent=2)
    write_atomically(paths.client_file, data, mode=0o600)
