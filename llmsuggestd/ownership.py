"""Whose our folders and files are: looked at before a command uses one of them.

One `sudo llmsuggestd` in a user's home leaves folders there that are root's, and that no command of
the user's can read any more.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from llmsuggestd.errors import ConfigError
from llmsuggestd.files import blame, closed_part, make_private, user_name
from llmsuggestd.paths import Paths, get_paths


def our_paths() -> Paths:
    """The paths for this user and environment, which can be used. Raises ConfigError."""
    paths = get_paths()
    check_ours(paths)
    return paths


def check_ours(paths: Paths) -> None:
    """Raise ConfigError, with the command that mends it, if something of ours is closed to us.

    Also where `sudo` is just about to cause that.
    """
    if sys.platform == "win32":
        return
    _refuse_sudo(paths)
    found = (closed_part(path, mode) for path, mode in _used(paths))
    if closed := list(dict.fromkeys(path for path in found if path is not None)):
        raise ConfigError(*blame(closed))


def make_directory(paths: Paths, directory: Path) -> None:
    """Make one of `paths.directories()`.

    Models may be shared, in a folder of somebody else: one that is there is left as it is. Raises
    ConfigError.
    """
    if directory != paths.models or not directory.is_dir():
        make_private(directory)


def _used(paths: Paths) -> list[tuple[Path, int]]:
    """What we use, each with how, for `os.access`. Models may be anybody's that we can read."""
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
    """Raise ConfigError where root works in the home of the user who called `sudo`.

    All that it made there would be root's, and closed to that user from then on.
    """
    caller = os.environ.get("SUDO_UID", "")
    if os.getuid() != 0 or not caller.isdigit() or caller == "0":
        return
    there = next(folder for folder in (paths.config, *paths.config.parents) if folder.exists())
    if there.stat().st_uid == int(caller):
        raise ConfigError(
            f"this is root, and {there} is {user_name(int(caller))}'s: what is made there would be"
            " root's",
            "run it without `sudo`",
        )
