"""Files and folders of ours: made, written whole or not at all, and explained when they cannot be.

Every error about a file becomes one line and a remedy here (`failed`), so that the same trouble
gets the same words from every command.
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

from llmsuggestd.errors import ConfigError, LlmsuggestdError

E = TypeVar("E", bound=LlmsuggestdError)

ELSEWHERE: Final = "set LLMSUGGESTD_HOME to a folder that can be written to"
"""What helps where a folder of ours cannot be used."""

# --- making and writing -------------------------------------------------------------------------


def make_private(directory: Path) -> None:
    """Make a directory of ours, which only its owner can enter; tighten one that is there.

    Where it is a link, what that leads to keeps its mode: it may be for others, too. Raises
    ConfigError if it cannot be made, or belongs to somebody else.
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
        if error.errno != errno.EROFS:  # where nobody else can write either
            raise


def check_private(directory: Path) -> None:
    """Raise ConfigError unless a directory is ours and nobody else's.

    Whoever can write to the directory of a socket can put another in its place.
    """
    if sys.platform == "win32":
        return  # user directories are private there by inheritance
    info = directory.stat()
    _check_owner(directory, info.st_uid)
    if stat.S_IMODE(info.st_mode) & 0o077:
        raise ConfigError(
            f"the directory {directory} is open to other users",
            "use one for this alone, which only you can enter (chmod 700)",
        )


def _check_owner(directory: Path, owner: int) -> None:
    if owner != os.getuid():
        raise ConfigError(
            f"the directory {directory} belongs to another user (uid {owner})",
            "use a directory of your own",
        )


def write_atomically(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Put `data` into `path` so that a reader sees the old content or the new, never a part.

    Raises OSError, with the old file untouched and no temporary file left.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
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
    """New content for a file of the user's, written in two steps: look first, `commit` later.

    Links, mode and owner of the file stay as they are.
    """

    def __init__(self, file: Path, content: bytes) -> None:
        """Find out how the file can be written. Raises OSError if it cannot, with nothing left."""
        self._target = file.resolve()  # people keep the real file elsewhere
        self._content = content
        self._partial: Path | None = None
        """The new content in a file of its own; None if the old file is to be overwritten."""
        before = self._target.stat() if self._target.exists() else None
        if before is not None and before.st_nlink > 1:
            self._check_writable()  # under its other names it would keep the old content
            return
        try:
            self._write_beside(before)
        except OSError as error:
            if before is None or error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
                raise
            self._check_writable()  # the folder is closed to us, the file perhaps not

    def commit(self) -> None:
        """Put the content into the file. Raises OSError, with the file as it was."""
        if self._partial is not None:
            try:
                self._partial.replace(self._target)
            except OSError as error:
                if error.errno != errno.EBUSY:  # mounted by itself, into a container say
                    raise
            else:
                return
        with self._target.open("r+b") as file:
            file.write(self._content)
            file.truncate()

    def abandon(self) -> None:
        """Remove what was not committed."""
        if self._partial is not None:
            self._partial.unlink(missing_ok=True)

    def _check_writable(self) -> None:
        with self._target.open("r+b"):
            pass

    def _write_beside(self, before: os.stat_result | None) -> None:
        partial = self._target.with_name(f".{self._target.name}.{os.getpid()}.partial")
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
    """Put new content into a file of the user's. Raises OSError, with the file as it was."""
    new = Rewrite(file, content)
    try:
        new.commit()
    finally:
        new.abandon()


# --- explaining ---------------------------------------------------------------------------------


def failed(kind: type[E], what: str, path: Path, error: OSError) -> E:
    """The error of kind `kind` for what the system said when `path` was to be used.

    `what` is what was to be done with it, such as `cannot write the log`.
    """
    reason, hint = explained(path, error)
    named = what if reason.startswith(f"{path} ") else f"{what} {path}"
    return kind(f"{named}: {reason}", hint)


def explained(path: Path, error: OSError, elsewhere: str = ELSEWHERE) -> tuple[str, str]:
    """Why a path could not be used, and what to do about it; `elsewhere` is the way around it."""
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
        errno.ENFILE: "the system has no more open files to give: end other programs",
        errno.EIO: f"the disk fails (see `dmesg`): {elsewhere}",
        errno.ESTALE: "the network file system has lost it: mount it again",
        errno.ENOTCONN: "the network file system is gone: mount it again",
        errno.EBUSY: "another program, or a mount, uses it",
    }.get(code or 0, elsewhere)


def closed_part(path: Path, mode: int) -> Path | None:
    """What keeps us from using a path so (`os.access`): a folder on the way, or itself; else None.

    A path that is not there is not closed, nor one on a disk that is mounted read-only.
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
    """Whose, or of which mode, folders and files are that are closed to us, and what opens them.

    Raises OSError if that cannot be seen.
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
    """A user's name for people; the number where it has no account here."""
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def _closed(path: Path, error: OSError, elsewhere: str) -> tuple[str, str]:
    """Why the permission is lacking."""
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
    """The command that makes what root has made ours; anything else stays whose it is."""
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
    return "llmsuggestd" in path.parts or (root != "" and path.is_relative_to(root))


def _in_the_way(path: Path, error: OSError, elsewhere: str) -> tuple[str, str]:
    """What stands where a folder or a file should be."""
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
