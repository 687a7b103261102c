"""Downloads files. An interrupted download continues where it stopped.

huggingface_hub starts again after an interruption (since 1.18 it removes the partial file), so the
transfer is done here. Partial files are named after the expected digest, so a leftover always
belongs to that content. A file gets its own name when it is complete and has that digest.
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
from llmsuggestd.file_errors import explained
from llmsuggestd.models import hub
from llmsuggestd.models.hub import DownloadError, Interrupted, RemoteFile, Repository

DELAYS: Final = (1.0, 2.0, 4.0)
"""Delays between tries without progress, in seconds; then the download fails."""

LONGEST_DELAY: Final = 60.0
"""Longest delay, in seconds. If the hub asks for a longer one, the user has to try again later."""

Advance = Callable[[int], None]
"""Called with the number of bytes received; negative if some have to be downloaded again."""

Note = Callable[[str], None]
"""Called with a line for the user."""

T = TypeVar("T")


def partial_path(folder: Path, file: RemoteFile) -> Path:
    """The partial file of a file."""
    return folder / f"{file.digest.replace(':', '-')}.partial"


def bytes_here(folder: Path, file: RemoteFile) -> int:
    """The number of a file's bytes that have been downloaded."""
    for path in (folder / file.local_name, partial_path(folder, file)):
        with contextlib.suppress(OSError):
            return min(path.stat().st_size, file.bytes)
    return 0


def digest_of(path: Path, file: RemoteFile) -> str:
    """The digest of a local file's content, of the kind that the hub gives for `file`."""
    digest = _digest(file)
    with path.open("rb") as handle:
        while block := handle.read(2**20):
            digest.update(block)
    return f"{_kind(file)}:{digest.hexdigest()}"


def retrying(action: Callable[[], T], note: Note) -> T:
    """Call a function that asks the hub, and retry it after interruptions."""
    delays = iter(DELAYS)
    while True:
        try:
            return action()
        except Interrupted as error:
            _pause(error, next(delays, None), note)


def fetch(
    folder: Path, repository: Repository, file: RemoteFile, advance: Advance, note: Note
) -> None:
    """Download a file of a repository into the folder, complete and with the right digest.

    Existing bytes are kept, and not reported to `advance`. Raises DownloadError if the transfer
    breaks off repeatedly or the content is not what the hub announced, InputError if access is
    denied, LlmsuggestdError if the file cannot be written. Received bytes stay in every case.
    """
    target, partial = folder / file.local_name, partial_path(folder, file)
    if target.exists():
        return
    try:
        with contextlib.closing(_PartialFile(partial, file)) as partial_file:
            for attempt in (1, 2):
                _complete(partial_file, repository, file, advance, note)
                if partial_file.is_right():
                    break
                advance(-partial_file.bytes)
                partial_file.discard()
                if attempt == 2:
                    raise DownloadError(
                        f"{file.name}: arrived damaged twice (its {_kind(file)} differs from the"
                        " hub's)",
                        "try later, or without the mirror or proxy in between",
                    )
                note(f"{file.name} arrived damaged; fetching it again")
        partial.replace(target)
    except OSError as error:
        reason, hint = explained(folder, error)
        raise LlmsuggestdError(
            f"cannot write to {folder}: {reason}",
            f"{hint}; the same command continues where it stopped",
        ) from None


def _complete(
    partial_file: _PartialFile,
    repository: Repository,
    file: RemoteFile,
    advance: Advance,
    note: Note,
) -> None:
    """Download the missing end of a partial file."""
    delays = iter(DELAYS)
    while partial_file.bytes < file.bytes:
        before = partial_file.bytes
        try:
            with hub.stream(repository.name, repository.commit, file, before) as (start, pieces):
                if start != before:
                    note(f"{file.name}: the server cannot continue; fetching it from the start")
                    advance(-before)
                    partial_file.discard()
                for piece in pieces:
                    partial_file.append(piece)
                    advance(len(piece))
            if partial_file.bytes < file.bytes:
                raise Interrupted(f"{file.name}: the transfer ended early")
        except Interrupted as error:
            if partial_file.bytes > before:
                delays = iter(DELAYS)
            _pause(error, next(delays, None), note)


def _pause(error: Interrupted, delay: float | None, note: Note) -> None:
    """Wait before the next try, or raise the error after the last."""
    if delay is None or error.after > LONGEST_DELAY:
        raise error
    delay = max(delay, error.after)
    note(f"{error.message}; trying again in {delay:.0f} s")
    time.sleep(delay)


class _PartialFile:
    """A partial file with its running digest."""

    def __init__(self, path: Path, file: RemoteFile) -> None:
        self._expected = file
        self._handle = path.open("ab+", buffering=0)  # received data must survive a kill
        self._handle.seek(0)
        self._start_digest()
        while block := self._handle.read(2**20):
            self._digest.update(block)
            self.bytes += len(block)
        if self.bytes > file.bytes:
            self.discard()

    def append(self, data: bytes) -> None:
        """Append received bytes."""
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
        """Whether the content has the expected digest. If so, it is synced to disk."""
        found = f"{_kind(self._expected)}:{self._digest.hexdigest()}"
        if found != self._expected.digest:
            return False
        os.fsync(self._handle.fileno())
        return True

    def discard(self) -> None:
        """Discard the content, to start again."""
        self._handle.truncate(0)
        self._start_digest()

    def close(self) -> None:
        """Close the file, and keep it."""
        self._handle.close()

    def _start_digest(self) -> None:
        self.bytes = 0
        self._digest = _digest(self._expected)


def _kind(file: RemoteFile) -> str:
    return file.digest.partition(":")[0]


def _digest(file: RemoteFile) -> hashlib._Hash:
    """An empty digest of the kind that the hub gives for a file."""
    if _kind(file) == "sha256":
        return hashlib.sha256()
    # git's object id
    return hashlib.sha1(b"blob %d\0" % file.bytes, usedforsecurity=False)
