"""Installing and uninstalling: which files and directories there are.

Both are safe to repeat. `install` notes what it has made in `install.json`, so that a later one,
of another version or in another place, can take back what is no longer used, and `uninstall`
removes exactly that and what the daemon has written. A directory goes only if `install` has made
it, or it is ours, and it is empty: on macOS, settings, data and state share one.
"""

from __future__ import annotations

import contextlib
import glob
import os
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

from llmsuggestd import building, control, lean_package, manifest, service
from llmsuggestd.accelerators import Accelerator
from llmsuggestd.client import Client, Discovery
from llmsuggestd.errors import LlmsuggestdError
from llmsuggestd.lock import holder
from llmsuggestd.manifest import Manifest
from llmsuggestd.models import store
from llmsuggestd.ownership import is_shared, make_directory
from llmsuggestd.paths import Paths
from llmsuggestd.service import Service, ServiceError
from llmsuggestd.version import __version__

TRAY_TIMEOUT: Final = 5.0
"""Seconds in which a tray must end."""


@dataclass(frozen=True)
class Step:
    """One thing that `install` does."""

    what: str
    """For people, in the imperative."""
    paths: tuple[Path, ...]
    """The files or directories it makes, changes or removes."""
    needed: bool
    """Whether it changes anything."""
    act: Callable[[], object]


def plan(paths: Paths) -> tuple[list[Step], str]:
    """What `install` does, in order; and why no service is registered, if none is."""
    from llmsuggestd.tray import autostart

    before = manifest.read(paths)
    manager, reason = service.detect()
    starter = [] if is_shared(paths.models) else [store.starter_path(paths)]
    files = [*starter, manifest.file(paths)]
    # a manager that is not there may only not be reachable from here: what it was told stays
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
        if file not in [*files, *services] and _is_there(file) and not _is_of_others(paths, file)
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
    # Before the rest, since an install may be cut off, and a later one finds no directory new; but
    # a service is noted when its manager has taken it, or a later install would not try again.
    steps.append(
        Step(
            "note what is installed",
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
            Step("have the tray start at login from here", (entry,), True, autostart.enable)
        )
    old = running(paths)
    if old is not None and (
        old["version"] != __version__
        or old["state"] == "failed"  # what it lacked may be here now, and it does not look again
        or not current
    ):
        why = f" (version {old['version']})" if old["version"] != __version__ else ""
        what = f"restart the running daemon{why}"
        steps.append(Step(what, (paths.socket,), True, partial(control.restart, paths, manager)))
    return steps, reason


def accelerate(
    paths: Paths, accelerator: Accelerator, tick: Callable[[float], None]
) -> Path | None:
    """Have engines run a llama.cpp for an accelerator, and restart the daemon if it runs.

    For the CPU, the installed llama.cpp serves unless it is broken; otherwise one is built. Returns
    the build's folder, None for the installed one. Raises AcceleratorError; then nothing changed.
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

    Returns the paths that are removed, and those that could not be. Settings and models stay,
    unless `purge`, which empties the directories of both; of a directory that is a link, only the
    link goes. The daemon must be stopped already. A service's file goes even if its manager does
    not answer.
    """
    from llmsuggestd.tray import autostart

    known = manifest.read(paths)
    _end_tray(paths)
    there = [file for file in _files(paths, known, purge=purge) if _is_there(file)]
    manager = service.registered()
    if manager is not None:
        there += [file for file in manager.files() if _is_there(file)]
        with contextlib.suppress(ServiceError):  # its files go in any case
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
    there = [path for path in there if path == placed or not _is_of_others(paths, path)]
    for path in there:
        with contextlib.suppress(OSError):  # what is left is told at the end
            if path in trees and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
    stuck = [path for path in dict.fromkeys(there) if _is_there(path)]
    removed = [path for path in dict.fromkeys(there) if path not in stuck]
    ours = [paths.models, *paths.directories(), *map(Path, reversed(known.directories))]
    # longest first: what is inside goes before what it is in
    for directory in sorted(dict.fromkeys(ours), key=lambda d: len(d.parts), reverse=True):
        with contextlib.suppress(OSError):  # it does not exist, or holds something of the user's
            directory.rmdir()
            removed.append(directory)
    left = [name for name in known.directories if Path(name).is_dir()]
    if left and (stuck or (paths.models.is_dir() and not purge)):
        # something is in them; a later `uninstall --purge` shall know that we have made them
        with contextlib.suppress(OSError):
            manifest.write(paths, Manifest(version=__version__, directories=tuple(left)))
            removed = [path for path in removed if path != manifest.file(paths)]
    return removed, stuck


def running(paths: Paths) -> dict[str, Any] | None:
    """The status of the daemon that runs; None if none does, or it is too busy to say."""
    try:
        return Client(paths).status()
    except LlmsuggestdError:
        return None


def _register(paths: Paths, manager: Service, before: Manifest, now: Manifest) -> None:
    try:
        manager.register([Path(file) for file in before.service])
    except ServiceError as error:
        error.hint = f"see what {manager.manager} says, and `llmsuggestd install` again"
        raise
    manifest.write(paths, now)


def _is_of_others(paths: Paths, path: Path) -> bool:
    """Whether a path is, or is in, a folder for models that is shared; a link to one is ours."""
    if not is_shared(paths.models):
        return False
    return paths.models in path.parents or (path == paths.models and not path.is_symlink())


def _files(paths: Paths, known: Manifest, *, purge: bool) -> list[Path]:
    """Every file that may be of ours, there or not."""
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
        paths.tray_lock_file,
        paths.socket,
        *_told_socket(paths),
    ]
    # what a write that was cut off has left, also beside the settings
    cut_off = [
        partial
        for file in [*files, paths.config_file]
        for partial in file.parent.glob(f".{glob.escape(file.name)}.*.partial")
    ]
    return list(dict.fromkeys([*files, *cut_off, *([paths.config_file] if purge else [])]))


def _told_socket(paths: Paths) -> list[Path]:
    """The socket of a daemon that was killed, where it is another than the usual one."""
    try:
        socket = Path(Discovery.read(paths).socket or "")
    except (OSError, msgspec.DecodeError):
        return []
    return [socket] if socket.is_socket() else []


def _end_tray(paths: Paths) -> None:
    """End the tray, which would lose its files."""
    if (pid := holder(paths.tray_lock_file)) is None:
        return
    with contextlib.suppress(OSError):
        os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + TRAY_TIMEOUT
    while holder(paths.tray_lock_file) is not None and time.monotonic() < deadline:
        time.sleep(0.05)


def _with_parents(directories: Iterable[Path]) -> list[Path]:
    """The directories and all that they are in, each once, outermost first."""
    everything = {parent for d in directories for parent in (d, *d.parents)}
    return sorted(everything, key=lambda directory: len(directory.parts))


def _is_there(file: Path) -> bool:
    return file.is_symlink() or file.exists()
