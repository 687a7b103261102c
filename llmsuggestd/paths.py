"""Where files go: one place that knows, on every system.

platformdirs decides, unless `$LLMSUGGESTD_HOME` names one root for all of it (tests, portable
installs). Nothing here creates anything: `files.make_private` does.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

APP: Final = "llmsuggestd"


@dataclass(frozen=True)
class Paths:
    """The five directories, and the files with a fixed place in them."""

    config: Path
    data: Path
    cache: Path
    state: Path
    runtime: Path

    @property
    def config_file(self) -> Path:
        """Settings, written by the user (TOML)."""
        return self.config / "config.toml"

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
        """Locked by the running daemon; holds its process id."""
        return self.runtime / "daemon.lock"

    @property
    def tray_lock_file(self) -> Path:
        """Locked by the running tray; holds its process id."""
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
        """What the daemon learnt about llama.cpp on this machine (see `engine.host`)."""
        return self.state / "engine.json"

    def directories(self) -> list[Path]:
        """Every directory `install` makes."""
        return [self.config, self.data, self.models, self.cache, self.state, self.runtime]


def home_override() -> Path | None:
    """`$LLMSUGGESTD_HOME` as an absolute path, or None where it is unset or empty."""
    value = os.environ.get("LLMSUGGESTD_HOME")
    return Path(value).absolute() if value else None


def get_paths() -> Paths:
    """The paths for this user and environment."""
    if home := home_override():
        return Paths(*(home / name for name in ("config", "data", "cache", "state", "runtime")))
    import platformdirs

    dirs = platformdirs.PlatformDirs(APP, appauthor=False)
    return Paths(
        config=dirs.user_config_path,
        data=dirs.user_data_path,
        cache=dirs.user_cache_path,
        state=dirs.user_state_path,
        runtime=dirs.user_runtime_path if _has_runtime_dir() else dirs.user_state_path / "run",
    )


def _has_runtime_dir() -> bool:
    """Whether the system has made this user a directory for sockets.

    Where Linux has not (no login session), platformdirs falls back to /tmp, which is shared.
    """
    if sys.platform != "linux":
        return True
    return bool(os.environ.get("XDG_RUNTIME_DIR")) or os.access(f"/run/user/{os.getuid()}", os.W_OK)
