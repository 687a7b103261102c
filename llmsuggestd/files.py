"""Makes folders, writes files atomically, and explains errors about files.

Every error about a file becomes one line and a remedy here (`failed`), so that every command
describes the same problem in the same words.
"""

from __future__ import annotations

import errno
import os
import shlex
import stat
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, TypeVar

from llmsuggestd.errors import ConfigError, InputError, LlmsuggestdError
from llmsuggestd.identity import mark

E = TypeVar("E", bound=LlmsuggestdError)

ELSEWHERE: Final = "set LLMSUGGESTD_HOME to a folder that can be written to"
"""What helps where a folder of ours cannot be used."""

# --- making and writing -------------------------------------------------------------------------


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
    partial = path.with_name(f".{path.name}.{mark()}.partial")
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
        partial = self._target.with_name(f".{self._target.name}.{mark()}.partial")
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


# --- explaining ---------------------------------------------------------------------------------


def failed(kind: type[E], what: str, path: Path, error: OSError) -> E:
    """The error of type `kind` that explains an OSError about `path`.

    `what` says what failed, such as `cannot write the log`.
    """
    reason, hint = explained(path, error)
    named = what if reason.startswith(f"{path} ") else f"{what} {path}"
    return kind(f"{named}: {reason}", hint)


def unreadable(path: Path, error: OSError) -> InputError:
    """The error for a file or folder that the user has named, and that cannot be read."""
    reason, hint = error.strerror or str(error), ""
    if isinstance(error, PermissionError):
        reason, hint = explained(path, error, "give another")
    return InputError(f"{path}: cannot be read: {reason}", hint)


def explained(path: Path, error: OSError, elsewhere: str = ELSEWHERE) -> tuple[str, str]:
    """The reason why a path could not be used, and the remedy; `elsewhere` is the fallback."""
    code = error.errno
    if code in (errno.EACCES, errno.EPERM) and sys.platform != "win32":
        return _closed(path, error, elsewhere)
    if code in (errno.ENOENT, errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.ELOOP):
        return _in_the_way(path, error, elsewhere)
    return error.strerror or str(error), {
        errno.EROFS: f"its file system is mounted read-only: {elsewhere}",
        errno.ENOSPC: "make room on that disk",
        errno.EFBIG: "its file system, or `ulimit -f`, allows no file of that size",
        errno.EDQUOT: "your quota there is used up: remove something",
        errno.ENAMETOOLONG: "set LLMSUGGESTD_HOME to a folder with a shorter path",
        errno.EMFILE: "`ulimit -n 1024` allows more open files",
        errno.ENFILE: "the system's limit of open files is reached: end other programs",
        errno.EIO: f"the disk fails (see `dmesg`): {elsewhere}",
        errno.ESTALE: "the network file system has lost it: mount it again",
        errno.ENOTCONN: "the network file system is gone: mount it again",
        errno.EBUSY: "another program, or a mount, uses it",
    }.get(code or 0, elsewhere)


def closed_part(path: Path, mode: int) -> Path | None:
    """The part of a path that denies access with `mode` (see `os.access`); None if none does.

    That part is a folder on the way, or the path itself. A missing path counts as open, and so does
    one on a read-only file system.
    """
    try:
        info = path.stat()
    except PermissionError:
        return _first_closed(path)
    except OSError:
        return None
    if os.access(path, mode) or (info.st_uid == os.getuid() and _mode_allows(info.st_mode)):
        return None
    return path


def blame(closed: Sequence[Path], elsewhere: str = ELSEWHERE) -> tuple[str, str]:
    """The owner or mode that closes folders and files to us, and the command that opens them.

    Raises OSError if they cannot be examined.
    """
    first = closed[0]
    info = first.lstat()
    if info.st_uid == os.getuid():
        letters = "rwx" if stat.S_ISDIR(info.st_mode) else "rw"
        return (
            f"the mode of {first} is {stat.S_IMODE(info.st_mode):04o}",
            f"`chmod u+{letters} {shlex.quote(str(first))}`",
        )
    owned = [path for path in closed if path.lstat().st_uid == info.st_uid]
    tops = [path for path in owned if not any(other in path.parents for other in owned)]
    names = " and ".join(map(str, tops))
    belong = "belongs" if len(tops) == 1 else "belong"
    return f"{names} {belong} to {user_name(info.st_uid)}", _take_over(tops, info.st_uid, elsewhere)


def user_name(uid: int) -> str:
    """A user's name for messages; the uid if it has no account."""
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def _closed(path: Path, error: OSError, elsewhere: str) -> tuple[str, str]:
    """The reason why permission is denied, and the remedy."""
    culprit = _first_closed(path)
    try:
        info = culprit.lstat()
        allowed = info.st_uid == os.getuid() and _mode_allows(info.st_mode)
        if os.getuid() != 0 and not allowed:
            return blame([culprit], elsewhere)
    except OSError:
        return error.strerror or str(error), elsewhere
    # an attribute such as `chattr +i`, a security module, a server that distrusts root
    look = f"look at `lsattr -d {shlex.quote(str(culprit))}`"
    return error.strerror or str(error), look if error.errno == errno.EPERM else elsewhere


def _first_closed(path: Path) -> Path:
    """The first on the way to a path that is closed to us; its folder if none seems to be."""
    for folder in reversed(path.parents):
        if not os.access(folder, os.X_OK):
            return (folder if os.path.lexists(folder) else folder.parent).resolve()
    if os.path.lexists(path) and not os.access(path, os.R_OK | os.W_OK):
        return path.resolve()
    return path.parent.resolve()


def _mode_allows(mode: int) -> bool:
    needed = 0o700 if stat.S_ISDIR(mode) else 0o600
    return mode & needed == needed


def _take_over(paths: Sequence[Path], owner: int, elsewhere: str) -> str:
    """The command that takes over root's files. All other files stay their owner's."""
    if owner != 0 or not all(map(_is_in_our_home, paths)):
        return f"ask {user_name(owner)}, or {elsewhere}"
    below = "-R " if all(path.is_dir() and _made_by_us(path) for path in paths) else ""
    user = user_name(os.getuid()).removeprefix("uid ")
    return f"`sudo chown {below}{user} {shlex.join(map(str, paths))}` makes it yours again"


def _is_in_our_home(path: Path) -> bool:
    home = os.environ.get("HOME", "")
    return _made_by_us(path) or (home != "" and Path(home) in path.parents)


def _made_by_us(path: Path) -> bool:
    """Whether all that is below a path was made by us, by its name."""
    root = os.environ.get("LLMSUGGESTD_HOME", "")
    folder = Path(root).expanduser().absolute()
    return "llmsuggestd" in path.parts or (root != "" and path.is_relative_to(folder))


def _in_the_way(path: Path, error: OSError, elsewhere: str) -> tuple[str, str]:
    """The part of a path that is of the wrong kind or a broken link, and the remedy."""
    for part in (*reversed(path.parents), path):
        name = shlex.quote(str(part))
        if error.errno == errno.ELOOP and part.is_symlink():
            return f"{part} is a link that leads back to itself", f"`rm {name}` removes it"
        if part.is_symlink() and not part.exists():
            return (
                f"{part} is a link to {part.readlink()}, which is not there",
                f"mount or make that, or `rm {name}`",
            )
        is_folder, should_be = part.is_dir(), part != path or error.errno != errno.EISDIR
        if part.exists() and is_folder != should_be:
            kinds = ("a file", "a folder")
            reason = f"{part} is {kinds[is_folder]}, and should be {kinds[should_be]}"
            return reason, f"`mv {name} {name}.old` moves it out of the way"
    return error.strerror or str(error), elsewhere
