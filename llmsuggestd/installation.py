"""Installs and uninstalls: the files, directories and service of a user.

Both can be repeated safely. `install` records the files that it makes in `install.json`. With that
record, a later install, of another version or in another environment, removes files that are no
longer used. `uninstall` removes exactly what `install` and the daemon made. It removes a directory
only if it is empty, and only if `install` made it or it is one of `Paths`.
"""

from __future__ import annotations

import contextlib
import glob
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec

from llmsuggestd import building, control, discovery, lean_package, manifest, service
from llmsuggestd.accelerators import Accelerator
from llmsuggestd.client import Client
from llmsuggestd.errors import LlmsuggestdError
from llmsuggestd.lock import holder, identity_file, is_held
from llmsuggestd.manifest import Manifest
from llmsuggestd.models import remotes, store
from llmsuggestd.ownership import is_shared, make_directory
from llmsuggestd.paths import Paths
from llmsuggestd.service import Service, ServiceError
from llmsuggestd.version import __version__

TRAY_TIMEOUT: Final = 5.0
"""Timeout for the tray to end, in seconds."""


@dataclass(frozen=True)
class Step:
    """A step of `install`."""

    what: str
    """The step's description for users, in the imperative."""
    paths: tuple[Path, ...]
    """The files or directories that the step makes, changes or removes."""
    needed: bool
    """Whether the step would change anything."""
    act: Callable[[], object]


def plan(paths: Paths) -> tuple[list[Step], str]:
    """The steps of `install`, in order, and the reason if no service is registered."""
    from llmsuggestd.tray import autostart

    before = manifest.read(paths)
    manager, reason = service.detect()
    starter = [] if is_shared(paths.models) else [store.starter_path(paths)]
    files = [*starter, manifest.file(paths)]
    # a missing manager may only be unreachable from here: keep its files
    services = manager.files() if manager else [Path(file) for file in before.service]
    directories = [*paths.directories(), *(file.parent for file in [*files, *services])]
    made = [d for d in _with_parents(directories) if not d.exists()]
    now = Manifest(
        version=__version__,
        python=sys.executable,
        files=tuple(map(str, files)),
        service=tuple(map(str, services)),
        directories=tuple(dict.fromkeys([*before.directories, *map(str, made)])),
    )
    unused = [
        file
        for file in map(Path, [*before.files, *before.service])
        if file not in [*files, *services] and _is_there(file) and not _is_others(paths, file)
    ]
    steps = [
        Step(
            "remove what an earlier version made",
            (file,),
            True,
            partial(file.unlink, missing_ok=True),
        )
        for file in unused
    ]
    steps += [
        Step(
            "make the directory",
            (directory,),
            not directory.is_dir(),
            partial(make_directory, paths, directory),
        )
        for directory in dict.fromkeys(paths.directories())
    ]
    # Recorded first: if this install is interrupted, the next one no longer sees which directories
    # are new. The service is recorded once it is registered, so that a later install tries again.
    steps.append(
        Step(
            "record what is installed",
            (manifest.file(paths),),
            now != before,
            partial(manifest.write, paths, msgspec.structs.replace(now, service=before.service)),
        )
    )
    steps += [
        Step(
            "put the starter model in place",
            (file,),
            not store.has_starter(paths),
            partial(store.place_starter, paths),
        )
        for file in starter
    ]
    steps.append(
        Step(
            "put the Lean package in place",
            (lean_package.folder(paths),),
            not lean_package.is_current(paths),
            partial(lean_package.place, paths),
        )
    )
    if manager is not None:
        current = manager.is_current() and now.service == before.service
        steps.append(
            Step(
                f"register the service with {manager.manager}",
                tuple(manager.files()),
                not current,
                partial(_register, paths, manager, before, now),
            )
        )
    else:
        current = True
    if autostart.is_outdated():
        entry = autostart.file() or Path(autostart.RUN_KEY)
        steps.append(
            Step("start this installation's tray at login", (entry,), True, autostart.enable)
        )
    old = running(paths)
    if old is not None and (
        old["version"] != __version__
        or old["state"] == "failed"  # the cause may be gone, but only a restart tries again
        or not current
    ):
        why = f" (version {old['version']})" if old["version"] != __version__ else ""
        what = f"restart the running daemon{why}"
        steps.append(Step(what, (paths.socket,), True, partial(control.restart, paths, manager)))
    return steps, reason


def accelerate(
    paths: Paths, accelerator: Accelerator, tick: Callable[[float], None]
) -> Path | None:
    """Make engines use a llama.cpp for an accelerator, and restart a running daemon.

    For the CPU, that is the installed llama.cpp if it works. Otherwise, one is built. Returns the
    build's folder, or None for the installed one. Raises AcceleratorError, with nothing changed.
    """
    if accelerator.name == "cpu" and building.describe(None).sees(accelerator):
        build = None
        building.remove_builds(paths)
    else:
        build = building.build(accelerator, paths, tick)
    if running(paths) is not None:
        control.restart(paths, service.registered())
    return build


def uninstall(paths: Paths, *, purge: bool) -> tuple[list[Path], list[Path]]:
    """Remove the service and every file that `install` and the daemon made.

    Returns the removed paths, and those that could not be removed. Settings and models are kept,
    unless `purge` is set. Of a directory that is a symbolic link, only the link is removed. The
    service's files are removed even if its manager does not answer. The daemon must be stopped
    before.
    """
    from llmsuggestd.tray import autostart

    known = manifest.read(paths)
    _end_tray(paths)
    there = [file for file in _files(paths, known, purge=purge) if _is_there(file)]
    manager = service.registered()
    if manager is not None:
        there += [file for file in manager.files() if _is_there(file)]
        with contextlib.suppress(ServiceError):  # its files are removed anyway
            manager.unregister()
    if autostart.supported():
        if (entry := autostart.file()) is None:
            autostart.disable()
        elif entry.exists():
            there.append(entry)
    trees = [lean_package.folder(paths), paths.builds, paths.runtime / "tray"]
    trees += [paths.models, paths.downloads, paths.cache] if purge else []
    there += [tree for tree in trees if _is_there(tree)]
    placed = store.placed_starter(paths) if purge else None
    there = [path for path in there if path == placed or not _is_others(paths, path)]
    for path in there:
        with contextlib.suppress(OSError):  # reported at the end, in `stuck`
            if path in trees and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
    stuck = [path for path in dict.fromkeys(there) if _is_there(path)]
    removed = [path for path in dict.fromkeys(there) if path not in stuck]
    ours = [
        paths.models,
        paths.remote,
        *paths.directories(),
        *map(Path, reversed(known.directories)),
    ]
    # longest paths first, so that a directory comes after its subdirectories
    for directory in sorted(dict.fromkeys(ours), key=lambda d: len(d.parts), reverse=True):
        with contextlib.suppress(OSError):  # it does not exist, or contains the user's files
            directory.rmdir()
            removed.append(directory)
    left = [name for name in known.directories if Path(name).is_dir()]
    if left and (stuck or (paths.models.is_dir() and not purge)):
        # they are not empty: a later `uninstall --purge` must know that we made them
        with contextlib.suppress(OSError):
            manifest.write(paths, Manifest(version=__version__, directories=tuple(left)))
            removed = [path for path in removed if path != manifest.file(paths)]
    return removed, stuck


def running(paths: Paths) -> dict[str, Any] | None:
    """The running daemon's status; None if no daemon runs, or it is too busy to answer."""
    try:
        return Client(paths).status()
    except LlmsuggestdError:
        return None


def _register(paths: Paths, manager: Service, before: Manifest, now: Manifest) -> None:
    try:
        manager.register([Path(file) for file in before.service])
    except ServiceError as error:
        error.hint = f"look at {manager.manager}'s messages, and run `llmsuggestd install` again"
        raise
    manifest.write(paths, now)


def _is_others(paths: Paths, path: Path) -> bool:
    """Whether a path is in a shared folder of models, or is one. A link to one is ours."""
    if not is_shared(paths.models):
        return False
    return paths.models in path.parents or (path == paths.models and not path.is_symlink())


def _files(paths: Paths, known: Manifest, *, purge: bool) -> list[Path]:
    """Every file that we may have made, whether it exists or not."""
    kept = [] if purge else [store.starter_path(paths)]
    files = [
        *(Path(file) for file in known.files if Path(file) not in kept),
        *map(Path, known.service),
        manifest.file(paths),
        *([lean_package.record_file(paths)] if purge or not lean_package.projects(paths) else []),
        paths.client_file,
        paths.token_file,
        paths.log_file,
        *paths.old_logs,
        paths.engine_memory,
        building.build_log(paths),
        *paths.state.glob("tray.log*"),
        paths.lock_file,
        identity_file(paths.lock_file),
        paths.tray_lock_file,
        identity_file(paths.tray_lock_file),
        paths.socket,
        *_recorded_socket(paths),
        *(remotes.files(paths) if purge else []),
    ]
    # partial files of interrupted writes, also beside the settings
    cut_off = [
        partial
        for file in [*files, paths.config_file]
        for partial in file.parent.glob(f".{glob.escape(file.name)}.*.partial")
    ]
    return list(dict.fromkeys([*files, *cut_off, *([paths.config_file] if purge else [])]))


def _recorded_socket(paths: Paths) -> list[Path]:
    """The socket that a killed daemon left behind, if it is not the default one."""
    try:
        socket = Path(discovery.read(paths).socket or "")
    except (OSError, msgspec.DecodeError):
        return []
    return [socket] if socket.is_socket() else []


def _end_tray(paths: Paths) -> None:
    """End the tray, whose files are about to be removed."""
    tray = holder(paths.tray_lock_file)
    if tray is None or not tray.send(signal.SIGTERM):
        return
    deadline = time.monotonic() + TRAY_TIMEOUT
    while is_held(paths.tray_lock_file) and time.monotonic() < deadline:
        time.sleep(0.05)


def _with_parents(directories: Iterable[Path]) -> list[Path]:
    """The directories and all their parents, each once, outermost first."""
    everything = {parent for d in directories for parent in (d, *d.parents)}
    return sorted(everything, key=lambda directory: len(directory.parts))


def _is_there(file: Path) -> bool:
    return file.is_symlink() or file.exists()
