"""Makes private folders, and writes files so that an interruption leaves nothing half-written.

A new content is written to a partial file beside the old one and then renamed. The partial file's
name identifies the process that writes it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

from llmsuggestd import identity
from llmsuggestd.errors import ConfigError, LlmsuggestdError
from llmsuggestd.file_errors import explained, failed


def make_private(directory: Path) -> None:
    """Make a directory that only its owner can enter, or restrict an existing one.

    The target of a symbolic link keeps its mode, since it may be shared. Raises ConfigError if the
    directory cannot be made or belongs to another user.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if sys.platform == "win32":
            return
        info = directory.stat()
        if info.st_uid == os.getuid() and info.st_mode & 0o077 and not directory.is_symlink():
            _tighten(directory)
    except OSError as error:
        raise failed(ConfigError, "cannot make the directory", directory, error) from error
    _check_owner(directory, info.st_uid)


def _tighten(directory: Path) -> None:
    try:
        directory.chmod(0o700)
    except OSError as error:
        if error.errno != errno.EROFS:  # on a read-only file system, no other user can write either
            raise


def check_private(directory: Path) -> None:
    """Raise ConfigError unless only this user can enter a directory.

    A user who can write to a socket's directory could replace the socket.
    """
    if sys.platform == "win32":
        return  # user directories are private there by inheritance
    info = directory.stat()
    _check_owner(directory, info.st_uid)
    if stat.S_IMODE(info.st_mode) & 0o077:
        raise ConfigError(
            f"the directory {directory} is open to other users",
            "use a separate directory that only you can enter (chmod 700)",
        )


def _check_owner(directory: Path, owner: int) -> None:
    if owner != os.getuid():
        raise ConfigError(
            f"the directory {directory} belongs to another user (uid {owner})",
            "use a directory of your own",
        )


def write_atomically(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Replace the content of `path`. Readers see the old content or the new, never a part.

    Raises OSError, with the old file unchanged and no partial file left.
    """
    partial = beside(path, "partial")
    try:
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


class Rewrite:
    """New content for one of the user's files. First checks that it can be written; then `commit`.

    The file keeps its links, mode and owner.
    """

    def __init__(self, file: Path, content: bytes) -> None:
        """Prepare the write. Raises OSError if the file cannot be written, with nothing left."""
        self._target = file.resolve()  # it may be a link to the real file
        self._content = content
        self._partial: Path | None = None
        """A partial file with the new content; None if the old file is overwritten in place."""
        before = self._target.stat() if self._target.exists() else None
        if before is not None and before.st_nlink > 1:
            self._check_writable()  # replacing it would leave the old content under its other names
            return
        try:
            self._write_beside(before)
        except OSError as error:
            if before is None or error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
                raise
            self._check_writable()  # the folder is not writable, but the file may be

    def commit(self) -> None:
        """Write the content into the file. Raises OSError, with the file unchanged."""
        if self._partial is not None:
            try:
                self._partial.replace(self._target)
            except OSError as error:
                if error.errno != errno.EBUSY:  # a mount point, as in a container
                    raise
            else:
                return
        with self._target.open("r+b") as file:
            file.write(self._content)
            file.truncate()

    def abandon(self) -> None:
        """Remove the partial file if it was not committed."""
        if self._partial is not None:
            self._partial.unlink(missing_ok=True)

    def _check_writable(self) -> None:
        with self._target.open("r+b"):
            pass

    def _write_beside(self, before: os.stat_result | None) -> None:
        partial = beside(self._target, "partial")
        try:
            descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(self._content)
                file.flush()
                os.fsync(file.fileno())
            made = partial.stat()
            if before is not None and (made.st_uid, made.st_gid) != (before.st_uid, before.st_gid):
                os.chown(partial, before.st_uid, before.st_gid)
            partial.chmod(0o644 if before is None else stat.S_IMODE(before.st_mode))
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
        self._partial = partial


def rewrite(file: Path, content: bytes) -> None:
    """Replace the content of one of the user's files. Raises OSError, with the file unchanged."""
    new = Rewrite(file, content)
    try:
        new.commit()
    finally:
        new.abandon()


@contextlib.contextmanager
def replacing(
    target: Path, around: contextlib.AbstractContextManager[None] | None = None
) -> Iterator[Path]:
    """Yield an empty partial file for a large content, and replace `target` by it at the end.

    The content is then on disk. The replacement itself is made in the context `around`. If the
    block raises anything, also for an interrupt, the partial file is removed and `target` keeps its
    old content. Partial files of processes that were killed are removed first. Raises
    LlmsuggestdError if the folder cannot be written to, or the disk is full.
    """
    _remove_abandoned(target)
    partial = beside(target, "partial")
    try:
        # Not with tempfile, since the result must have the mode of any new file.
        os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    except OSError as error:
        reason, hint = explained(target.parent, error, "choose another place")
        raise LlmsuggestdError(f"{target.parent}: cannot be written: {reason}", hint) from None
    try:
        yield partial
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        with around or contextlib.nullcontext():
            partial.replace(target)
        _sync_folder(target.parent)
    except OSError as error:
        reason, hint = explained(target, error, "choose another place")
        raise LlmsuggestdError(
            f"{target}: writing failed: {reason}", f"nothing of it was kept; {hint}"
        ) from None
    finally:
        partial.unlink(missing_ok=True)


def beside(target: Path, suffix: str) -> Path:
    """The path of a temporary file beside `target` that belongs to this process."""
    return target.with_name(f".{target.name}.{identity.mark()}.{suffix}")


def _sync_folder(folder: Path) -> None:
    """Make a rename in a folder survive a power failure, if the system can do that."""
    with contextlib.suppress(OSError):  # Windows cannot open a folder
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _remove_abandoned(target: Path) -> None:
    """Remove the temporary files beside `target` whose processes were killed.

    A temporary file that was itself being replaced has a partial file of its own.
    """
    name = re.escape(f".{target.name}.") + r"(\d+-\w+)\.\w+"
    pattern = re.compile(rf"{name}|\.{name}\.\d+-\w+\.partial")
    with contextlib.suppress(OSError):
        for path in target.parent.iterdir():
            match = pattern.fullmatch(path.name)
            if match and identity.is_left_over(match[1] or match[2]):
                path.unlink(missing_ok=True)
