"""Checks, before a command runs, that the user owns our folders and files and can use them.

A single `sudo llmsuggestd` in a user's home would leave folders there that belong to root. The
user's own commands could no longer read them.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from llmsuggestd.errors import ConfigError
from llmsuggestd.file_errors import blame, closed_part, user_name
from llmsuggestd.files import make_private
from llmsuggestd.paths import Paths, get_paths


def our_paths() -> Paths:
    """The paths for this user and environment. Raises ConfigError if the user cannot use them."""
    paths = get_paths()
    check_ours(paths)
    return paths


def check_ours(paths: Paths) -> None:
    """Raise ConfigError, with the command that repairs it, if one of our paths cannot be used.

    Also raises ConfigError if this command runs with `sudo` and would make such paths.
    """
    if sys.platform == "win32":
        return
    _refuse_sudo(paths)
    found = (closed_part(path, mode) for path, mode in _used(paths))
    if closed := list(dict.fromkeys(path for path in found if path is not None)):
        raise ConfigError(*blame(closed))


def make_directory(paths: Paths, directory: Path) -> None:
    """Make one of `paths.directories()`, private to the user.

    An existing models folder stays as it is, since another user may own and share it. Raises
    ConfigError.
    """
    if directory != paths.models or not directory.is_dir():
        make_private(directory)


def is_shared(directory: Path) -> bool:
    """Whether a directory may have other users' files: it is a link, a mount or another user's."""
    if sys.platform == "win32" or not directory.is_dir():
        return False
    foreign = directory.stat().st_uid != os.getuid()
    return foreign or directory.is_symlink() or os.path.ismount(directory)


def _used(paths: Paths) -> list[tuple[Path, int]]:
    """The paths that we use, each with the mode for `os.access` that we need."""
    read, write, folder = os.R_OK, os.R_OK | os.W_OK, os.R_OK | os.X_OK
    return [
        *((path, folder) for path in (paths.config, paths.data, paths.models, paths.builds)),
        *((path, folder | os.W_OK) for path in (paths.cache, paths.state, paths.runtime)),
        (paths.downloads, folder | os.W_OK),
        (paths.config_file, read),
        (paths.client_file, read),
        (paths.token_file, read),
        (paths.engine_memory, read),
        (paths.log_file, write),
        (paths.tray_log_file, write),
        (paths.lock_file, write),
        (paths.tray_lock_file, write),
    ]


def _refuse_sudo(paths: Paths) -> None:
    """Raise ConfigError if this command runs as root, with `sudo`, in its caller's home.

    New files there would belong to root, and the caller could not use them.
    """
    caller = os.environ.get("SUDO_UID", "")
    if os.getuid() != 0 or not caller.isdigit() or caller == "0":
        return
    there = next(folder for folder in (paths.config, *paths.config.parents) if folder.exists())
    if there.stat().st_uid == int(caller):
        raise ConfigError(
            f"this runs as root, but {there} belongs to {user_name(int(caller))}: new files there"
            " would belong to root",
            "run it without `sudo`",
        )
