"""Explains errors about files: each becomes one line with its cause, and a remedy.

Every command therefore describes the same problem in the same words.
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

from llmsuggestd.errors import InputError, LlmsuggestdError

E = TypeVar("E", bound=LlmsuggestdError)

ELSEWHERE: Final = "set LLMSUGGESTD_HOME, also for the editor, to a folder that can be written to"
"""The remedy for a folder of ours that cannot be used."""


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
        errno.ENAMETOOLONG: "set LLMSUGGESTD_HOME, also for the editor, to a shorter path",
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
        is_ours = part.name == "llmsuggestd" or _made_by_us(part.parent)
        if error.errno == errno.ELOOP and part.is_symlink():
            remedy = f"`rm {name}` removes it" if is_ours else elsewhere
            return f"{part} is a link that leads back to itself", remedy
        if part.is_symlink() and not part.exists():
            return (
                f"{part} is a link to {part.readlink()}, which is not there",
                f"mount or create its target, or {f'`rm {name}`' if is_ours else elsewhere}",
            )
        is_folder, should_be = part.is_dir(), part != path or error.errno != errno.EISDIR
        if part.exists() and is_folder != should_be:
            kinds = ("a file", "a folder")
            reason = f"{part} is {kinds[is_folder]}, and should be {kinds[should_be]}"
            return reason, (
                f"`mv {name} {name}.old` moves it out of the way" if is_ours else elsewhere
            )
    return error.strerror or str(error), elsewhere
