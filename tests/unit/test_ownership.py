"""Folders and files that are not the user's: detected first, with one message and the remedy."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from llmsuggestd.errors import ConfigError
from llmsuggestd.ownership import check_ours, make_directory
from llmsuggestd.paths import Paths
from tests.support.users import ANOTHER, as_another, needs_root

FOLDERS = ("config", "data", "cache", "state", "runtime")


@pytest.fixture
def paths() -> Iterator[Paths]:
    """The folders of another user, in a folder that every user can enter."""
    root = Path(tempfile.mkdtemp(prefix="llms-own-"))
    root.chmod(0o755)
    paths = Paths(*(root / name / "llmsuggestd" for name in FOLDERS))
    for directory in paths.directories():
        directory.mkdir(mode=0o700, parents=True)
    own(root, ANOTHER)
    yield paths
    shutil.rmtree(root)


def own(folder: Path, uid: int) -> None:
    """Change the owner, like `chown -R`."""
    for path in [folder, *folder.rglob("*")]:
        os.chown(path, uid, uid)


def trouble(paths: Paths) -> tuple[str, str] | None:
    """The message and hint that the user gets from every command."""
    try:
        as_another(lambda: check_ours(paths))
    except ConfigError as error:
        return error.message, error.hint
    return None


@needs_root
def test_our_own_are_fine(paths: Paths) -> None:
    paths.config_file.write_text("")
    own(paths.config, ANOTHER)
    assert trouble(paths) is None


@needs_root
@pytest.mark.parametrize("name", [*FOLDERS, "models", "downloads", "builds"])
def test_a_folder_that_belongs_to_root(paths: Paths, name: str) -> None:
    folder: Path = getattr(paths, name)
    folder.mkdir(mode=0o700, exist_ok=True)
    own(folder, 0)
    assert trouble(paths) == (
        f"{folder} belongs to root",
        f"`sudo chown -R {ANOTHER} {folder}` makes it yours again",
    )


@needs_root
@pytest.mark.parametrize(
    "name",
    ["config_file", "client_file", "token_file", "log_file", "lock_file", "tray_lock_file",
     "tray_log_file", "engine_memory"],
)  # fmt: skip
def test_a_file_that_belongs_to_root(paths: Paths, name: str) -> None:
    file: Path = getattr(paths, name)
    file.touch(mode=0o600)
    assert trouble(paths) == (
        f"{file} belongs to root",
        f"`sudo chown {ANOTHER} {file}` makes it yours again",
    )


@needs_root
def test_one_command_repairs_everything(paths: Paths) -> None:
    own(paths.config, 0)
    own(paths.state, 0)
    paths.token_file.touch()
    assert trouble(paths) == (
        f"{paths.config} and {paths.state} belong to root",
        f"`sudo chown -R {ANOTHER} {paths.config} {paths.state}` makes it yours again",
    )


@needs_root
def test_a_parent_that_belongs_to_root(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    """For example, after `sudo` in a new account. Not everything below the parent is ours."""
    parent = paths.config.parent
    monkeypatch.setenv("HOME", str(parent.parent))
    os.chown(parent, 0, 0)
    parent.chmod(0o700)
    assert trouble(paths) == (
        f"{parent} belongs to root",
        f"`sudo chown {ANOTHER} {parent}` makes it yours again",
    )


@needs_root
def test_our_own_paths_that_are_closed(paths: Paths) -> None:
    paths.state.chmod(0o500)
    assert trouble(paths) == (f"the mode of {paths.state} is 0500", f"`chmod u+rwx {paths.state}`")


@needs_root
def test_models_and_settings_only_need_to_be_readable(paths: Paths) -> None:
    own(paths.models, 0)
    paths.models.chmod(0o755)
    paths.config_file.write_text("")  # for example, a package manager's
    assert trouble(paths) is None
    before = paths.models.stat()
    as_another(lambda: make_directory(paths, paths.models))
    assert paths.models.stat() == before


def test_a_shared_models_folder_is_not_changed(tmp_path: Path) -> None:
    paths = Paths(*(tmp_path / name for name in FOLDERS))
    make_directory(paths, paths.models)
    assert paths.models.stat().st_mode & 0o777 == 0o700
    paths.models.chmod(0o775)
    make_directory(paths, paths.models)
    assert paths.models.stat().st_mode & 0o777 == 0o775


@needs_root
def test_sudo_in_a_users_home_is_refused(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    check_ours(paths)  # root, without sudo
    monkeypatch.setenv("SUDO_UID", str(ANOTHER))
    with pytest.raises(ConfigError, match="this runs as root") as caught:
        check_ours(paths)
    assert caught.value.hint == "run it without `sudo`"
    own(paths.config.parents[1], 0)  # root's own home
    check_ours(paths)
