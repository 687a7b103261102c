"""Installing and uninstalling: which files and directories there are.

Both are safe to repeat. `uninstall` names every file it removes and takes directories only when
they are empty: on macOS, settings, data and state share one.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from llmsuggestd import service
from llmsuggestd.models import store
from llmsuggestd.paths import Paths, make_private


@dataclass(frozen=True)
class Step:
    """One thing that `install` does."""

    what: str
    """For people, in the imperative."""
    path: Path
    """The file or directory it makes."""
    needed: bool
    """Whether it changes anything."""
    act: Callable[[], object]


def plan(paths: Paths) -> tuple[list[Step], str]:
    """What `install` does, in order; and why no service is registered, if none is."""
    steps = [
        Step(
            "make the directory",
            directory,
            not directory.is_dir(),
            partial(make_private, directory),
        )
        for directory in dict.fromkeys(paths.directories())
    ]
    steps.append(
        Step(
            "put the starter model in place",
            store.starter_path(paths),
            not store.has_starter(paths),
            partial(store.place_starter, paths),
        )
    )
    manager, reason = service.detect()
    if manager is not None:
        file = manager.file
        current = file.read_text(encoding="utf-8") if file.exists() else None
        steps.append(
            Step(
                f"register the service with {manager.manager}",
                file,
                current != manager.content(),
                manager.register,
            )
        )
    return steps, reason


def uninstall(paths: Paths, *, purge: bool) -> list[Path]:
    """Remove the service and every file that the daemon keeps; the removed paths.

    Settings and models stay, unless `purge`. The daemon must be stopped already.
    """
    removed: list[Path] = []
    manager = service.registered()
    if manager is not None:
        manager.unregister()
        removed.append(manager.file)
    files = [
        paths.client_file,
        paths.token_file,
        paths.log_file,
        *paths.old_logs,
        paths.engine_memory,
        *paths.log_file.parent.glob(f"{paths.log_file.name}.[0-9]"),
        paths.lock_file,
        paths.tray_lock_file,
        paths.socket,
    ]
    if purge:
        files += [paths.config_file, *(model.path for model in store.installed(paths))]
    for file in files:
        if file.exists():
            file.unlink()
            removed.append(file)
    for directory in [paths.models, *paths.directories()]:
        with contextlib.suppress(OSError):  # it does not exist, or holds something of the user's
            directory.rmdir()
            removed.append(directory)
    return removed
