"""Fetching files so that nothing that has arrived is fetched again.

huggingface_hub begins anew when a download is interrupted (since 1.18 it removes what it had), so
the transfer is done here. A file that is being fetched is called by its digest and `.partial`, so
that it is the beginning of the right content whatever happened since. It gets its name when all of
it is there and has that digest.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from llmsuggestd.errors import LlmsuggestdError
from llmsuggestd.files import explained
from llmsuggestd.models import hub
from llmsuggestd.models.hub import DownloadError, Interrupted, RemoteFile, Repository

DELAYS: Final = (1.0, 2.0, 4.0)
"""Seconds before another try, as long as nothing arrives; then it is given up."""

LONGEST_DELAY: Final = 60.0
"""Seconds; a hub that wants a longer pause gets it from the user."""

Advance = Callable[[int], None]
"""Called with the number of bytes that have come; negative where some have to come again."""

Note = Callable[[str], None]
"""Called with a line for the user."""

T = TypeVar("T")


def partial_path(folder: Path, file: RemoteFile) -> Path:
    """Where the beginning of a file is kept."""
    return folder / f"{file.digest.replace(':', '-')}.partial"


def bytes_here(folder: Path, file: RemoteFile) -> int:
    """How many bytes of a file are in the folder already."""
    for path in (folder / file.local_name, partial_path(folder, file)):
        with contextlib.suppress(OSError):
            return min(path.stat().st_size, file.bytes)
    return 0


def digest_of(path: Path, file: RemoteFile) -> str:
    """The digest of a file's content, of the kind that the hub has of `file`."""
    digest = _digest(file)
    with path.open("rb") as handle:
        while block := handle.read(2**20):
            digest.update(block)
    return f"{_kind(file)}:{digest.hexdigest()}"


def retrying(action: Callable[[], T], note: Note) -> T:
    """Do something with the hub, more than once if it is interrupted."""
    delays = iter(DELAYS)
    while True:
        try:
            return action()
        except Interrupted as error:
            _pause(error, next(delays, None), note)


def fetch(
    folder: Path, repository: Repository, file: RemoteFile, advance: Advance, note: Note
) -> None:
    """Have a file of a repository in the folder, whole and with the right digest.

    What is there already is kept, and not counted by `advance`. Raises DownloadError if the
    transfer breaks off again and again or brings something else than the hub has said, InputError
    if the file may not be read, LlmsuggestdError if it cannot be written; what has arrived stays.
    """
    target, partial = folder / file.local_name, partial_path(folder, file)
    if target.exists():
        return
    try:
        with contextlib.closing(_Beginning(partial, file)) as beginning:
            for attempt in (1, 2):
                _complete(beginning, repository, file, advance, note)
                if beginning.is_right():
                    break
                advance(-beginning.bytes)
                beginning.discard()
                if attempt == 2:
                    raise DownloadError(
                        f"{file.name}: came damaged twice (its {_kind(file)} is another than the"
                        " hub's)",
                        "try later, or without the mirror or proxy in between",
                    )
                note(f"{file.name} came damaged; fetching it again")
        partial.replace(target)
    except OSError as error:
        reason, hint = explained(folder, error)
        raise LlmsuggestdError(
            f"cannot write to {folder}: {reason}",
            f"{hint}; the same command continues where it stopped",
        ) from None


def _complete(
    beginning: _Beginning, repository: Repository, file: RemoteFile, advance: Advance, note: Note
) -> None:
    """Fetch what is missing at the end."""
    delays = iter(DELAYS)
    while beginning.bytes < file.bytes:
        before = beginning.bytes
        try:
            with hub.stream(repository.name, repository.commit, file, before) as (start, pieces):
                if start != before:
                    note(f"{file.name}: the server cannot continue; fetching it from the start")
                    advance(-before)
                    beginning.discard()
                for piece in pieces:
                    beginning.append(piece)
                    advance(len(piece))
            if beginning.bytes < file.bytes:
                raise Interrupted(f"{file.name}: the transfer ended early")
        except Interrupted as error:
            if beginning.bytes > before:
                delays = iter(DELAYS)
            _pause(error, next(delays, None), note)


def _pause(error: Interrupted, delay: float | None, note: Note) -> None:
    """Wait before another try, or raise the error if there is to be none."""
    if delay is None or error.after > LONGEST_DELAY:
        raise error
    delay = max(delay, error.after)
    note(f"{error.message}; trying again in {delay:.0f} s")
    time.sleep(delay)


class _Beginning:
    """The beginning of a file, on disk, and the digest of it."""

    def __init__(self, path: Path, file: RemoteFile) -> None:
        self._expected = file
        self._handle = path.open("ab+", buffering=0)  # what has come outlives this process
        self._handle.seek(0)
        self._start_digest()
        while block := self._handle.read(2**20):
            self._digest.update(block)
            self.bytes += len(block)
        if self.bytes > file.bytes:
            self.discard()

    def append(self, data: bytes) -> None:
        """Write what has come."""
        if self.bytes + len(data) > self._expected.bytes:
            raise DownloadError(
                f"{self._expected.name}: the server sends more than the"
                f" {self._expected.bytes:,} bytes that the hub says it has",
                "try later, or without the mirror or proxy in between",
            )
        view = memoryview(data)
        while view:
            view = view[self._handle.write(view) :]
        self._digest.update(data)
        self.bytes += len(data)

    def is_right(self) -> bool:
        """Whether the content has the digest it must have; if so, it is on the disk."""
        found = f"{_kind(self._expected)}:{self._digest.hexdigest()}"
        if found != self._expected.digest:
            return False
        os.fsync(self._handle.fileno())
        return True

    def discard(self) -> None:
        """Begin anew."""
        self._handle.truncate(0)
        self._start_digest()

    def close(self) -> None:
        """Close the file; it stays."""
        self._handle.close()

    def _start_digest(self) -> None:
        self.bytes = 0
        self._digest = _digest(self._expected)


def _kind(file: RemoteFile) -> str:
    return file.digest.partition(":")[0]


def _digest(file: RemoteFile) -> hashlib._Hash:
    """A digest of nothing yet, of the kind that the hub has of a file."""
    if _kind(file) == "sha256":
        return hashlib.sha256()
    # git's name of a file
    return hashlib.sha1(b"blob %d\0" % file.bytes, usedforsecurity=False)
