"""The locations of our files, on every system.

On Unix they follow the XDG Base Directory specification, with Apple's default folders on macOS; on
Windows, platformdirs knows them. `$LLMSUGGESTD_HOME` names one root for all files instead (tests,
portable installs). This module creates nothing: `files.make_private` does.
"""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from llmsuggestd.errors import ConfigError

APP: Final = "llmsuggestd"

BASE_DIRECTORIES: Final = (
    {
        "XDG_CONFIG_HOME": "Library/Application Support",
        "XDG_DATA_HOME": "Library/Application Support",
        "XDG_CACHE_HOME": "Library/Caches",
        "XDG_STATE_HOME": "Library/Application Support",
    }
    if sys.platform == "darwin"
    else {
        "XDG_CONFIG_HOME": ".config",
        "XDG_DATA_HOME": ".local/share",
        "XDG_CACHE_HOME": ".cache",
        "XDG_STATE_HOME": ".local/state",
    }
)
"""The base directories of all programs: the variable for each, and its default below the home.

lean/LlmSuggest/Discovery.lean has the same, since the tactic must look where we write.
"""

PATH_VARIABLES: Final = (*BASE_DIRECTORIES, "LLMSUGGESTD_HOME", "LLMSUGGESTD_SOCKET")
"""The variables that place our files, except for the system's HOME and XDG_RUNTIME_DIR."""


@dataclass(frozen=True)
class Paths:
    """The five directories, and the files with a fixed place in them."""

    config: Path
    data: Path
    cache: Path
    state: Path
    runtime: Path

    def __post_init__(self) -> None:
        """Raise ConfigError for a name that is not UTF-8, since JSON and Lean cannot express it."""
        for folder in (self.config, self.data, self.cache, self.state, self.runtime):
            if not is_text(str(folder)):
                raise ConfigError(
                    f"the name of the folder {folder} is not UTF-8",
                    "set LLMSUGGESTD_HOME to a folder whose name is",
                )

    @property
    def config_file(self) -> Path:
        """Settings, written by the user (TOML)."""
        return self.config / "config.toml"

    @property
    def remote(self) -> Path:
        """The records of remote models, and the keys for their servers."""
        return self.config / "remote"

    @property
    def client_file(self) -> Path:
        """The discovery file: tells clients how to reach the daemon."""
        return self.config / "client.json"

    @property
    def token_file(self) -> Path:
        """The bearer token for the localhost port, mode 0600."""
        return self.state / "token"

    @property
    def models(self) -> Path:
        """Installed models, one `ID.gguf` each."""
        return self.data / "models"

    @property
    def downloads(self) -> Path:
        """Checkpoints that are being downloaded and converted, one folder per repository."""
        return self.data / "downloads"

    @property
    def builds(self) -> Path:
        """llama.cpp built for an accelerator, one folder per build (see `engine.builds`)."""
        return self.data / "builds"

    @property
    def socket(self) -> Path:
        """The Unix socket, unless the configuration names another."""
        return self.runtime / "daemon.sock"

    @property
    def lock_file(self) -> Path:
        """Locked by the running daemon; says which process it is."""
        return self.runtime / "daemon.lock"

    @property
    def tray_lock_file(self) -> Path:
        """Locked by the running tray; says which process it is."""
        return self.runtime / "tray.lock"

    @property
    def log_file(self) -> Path:
        """The daemon's log."""
        return self.state / "daemon.log"

    @property
    def old_logs(self) -> list[Path]:
        """Rotated logs, newest first."""
        return [self.log_file.with_name(f"{self.log_file.name}.{number}") for number in (1, 2, 3)]

    @property
    def tray_log_file(self) -> Path:
        """The tray's log."""
        return self.state / "tray.log"

    @property
    def engine_memory(self) -> Path:
        """The kernels that crash on this machine (see `engine.crashes`)."""
        return self.state / "engine.json"

    def directories(self) -> list[Path]:
        """Every directory `install` makes."""
        return [self.config, self.data, self.models, self.cache, self.state, self.runtime]


def is_text(text: str) -> bool:
    """Whether an argument, a variable or a path is UTF-8, which on Unix it need not be."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


def get_paths() -> Paths:
    """The paths for this user and environment. Raises ConfigError if there is no home."""
    if root := home_override():
        return Paths(*(root / name for name in ("config", "data", "cache", "state", "runtime")))
    if sys.platform == "win32":
        import platformdirs

        dirs = platformdirs.PlatformDirs(APP, appauthor=False)
        return Paths(
            config=dirs.user_config_path,
            data=dirs.user_data_path,
            cache=dirs.user_cache_path,
            state=dirs.user_state_path,
            runtime=dirs.user_runtime_path,
        )
    config, data, cache, state = (base_directory(name) / APP for name in BASE_DIRECTORIES)
    session = session_directory()
    runtime = state / "run" if session is None else session / APP
    return Paths(config=config, data=data, cache=cache, state=state, runtime=runtime)


def home_override() -> Path | None:
    """`$LLMSUGGESTD_HOME` as an absolute path; None if it is unset or empty."""
    return _variable("LLMSUGGESTD_HOME")


def socket_override() -> Path | None:
    """`$LLMSUGGESTD_SOCKET` as an absolute path; None if it is unset or empty."""
    return _variable("LLMSUGGESTD_SOCKET")


def resolved_variables() -> dict[str, str]:
    """The `PATH_VARIABLES` of this process that count, with absolute paths.

    They give the same places to a process in another folder. Raises ConfigError.
    """
    found = {"LLMSUGGESTD_HOME": home_override(), "LLMSUGGESTD_SOCKET": socket_override()}
    found |= {name: _absolute(os.environ.get(name, "")) for name in BASE_DIRECTORIES}
    return {name: str(path) for name, path in found.items() if path is not None}


def expanded(text: str, source: str) -> Path:
    """A path as the user wrote it, with a leading `~` or `~user` replaced by that home.

    A shell expands most paths, but not those in settings and variables or in `--output=~/x`.
    Raises ConfigError naming `source` if there is no such home.
    """
    if not text.startswith("~"):
        return Path(text)
    first, *rest = Path(text).parts
    if first == "~":
        return home().joinpath(*rest)
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise ConfigError(
            f"{source}: there is no user {first[1:]!r}, in whose home `{text}` would be",
            "write the path in full",
        ) from None


def absolute(text: str, source: str, folder: Path | None = None) -> Path:
    """The absolute path for one that the user wrote, relative to `folder` or the current folder.

    Raises ConfigError naming `source` if there is none.
    """
    path = expanded(text, source)
    try:
        return (path if folder is None else folder / path).absolute()
    except FileNotFoundError:
        raise ConfigError(
            f"{source}: `{text}` is relative, and the current folder is gone",
            "write the path in full",
        ) from None


def home() -> Path:
    """The user's home: `$HOME`, or else that of the account. Raises ConfigError without either."""
    if sys.platform == "win32":
        return Path.home()
    if found := _absolute(os.environ.get("HOME", "")):
        return found
    import pwd

    with contextlib.suppress(KeyError):
        if found := _absolute(pwd.getpwuid(os.getuid()).pw_dir):
            return found
    raise ConfigError(
        f"there is no home: HOME is not set, and uid {os.getuid()} has no account here",
        "set LLMSUGGESTD_HOME to a folder of yours",
    )


def base_directory(name: str) -> Path:
    """One of `BASE_DIRECTORIES`. As the XDG specification says, a relative value is ignored.

    Raises ConfigError if the default is needed and there is no home.
    """
    return _absolute(os.environ.get(name, "")) or home() / BASE_DIRECTORIES[name]


def session_directory() -> Path | None:
    """The system's directory for this user's sockets, if it is safe to use.

    `$XDG_RUNTIME_DIR` counts only if it meets its specification: after `su` it belongs to another
    user, under WSL it may be open to all, after a logout it is gone. Otherwise, and if it is unset
    as under `cron`, the default place counts, on the same terms.
    """
    if sys.platform == "win32":
        return None
    usual = Path(f"/run/user/{os.getuid()}")
    for directory in (_absolute(os.environ.get("XDG_RUNTIME_DIR", "")), usual):
        if directory is not None and _is_ours_alone(directory):
            return directory
    return None


def _is_ours_alone(directory: Path) -> bool:
    """Whether this is a directory, not a link, that only this user can enter."""
    try:
        info = directory.lstat()
    except OSError:
        return False
    return (
        stat.S_ISDIR(info.st_mode)
        and info.st_uid == os.getuid()
        and stat.S_IMODE(info.st_mode) & 0o777 == 0o700
        and os.access(directory, os.W_OK)  # not mounted read-only
    )


def _absolute(text: str) -> Path | None:
    """The path, if the text is an absolute one."""
    return path if text and (path := Path(text)).is_absolute() else None


def _variable(name: str) -> Path | None:
    """The absolute path in one of our own variables; None if it is unset or empty."""
    text = os.environ.get(name)
    return absolute(text, f"${name}") if text else None
