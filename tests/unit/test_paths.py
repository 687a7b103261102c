"""Directories that are private, and files that are never half-written."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from llmsuggestd.errors import ConfigError
from llmsuggestd.paths import check_private, get_paths, make_private, write_atomically

posix = pytest.mark.skipif(os.name != "posix", reason="needs POSIX modes")


def test_one_variable_moves_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMSUGGESTD_HOME", str(tmp_path))
    paths = get_paths()
    files = [paths.config_file, paths.client_file, paths.token_file, paths.socket, paths.log_file]
    assert all(path.is_relative_to(tmp_path) for path in [*paths.directories(), *files])


def test_without_it_the_system_decides(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("LLMSUGGESTD_HOME", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "c"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "r"))
    paths = get_paths()
    if os.name == "posix" and os.uname().sysname == "Linux":
        assert paths.client_file == tmp_path / "c" / "llmsuggestd" / "client.json"
        assert paths.socket == tmp_path / "r" / "llmsuggestd" / "daemon.sock"


@posix
def test_our_directories_are_private(tmp_path: Path) -> None:
    old = tmp_path / "old"
    old.mkdir(mode=0o755)
    for directory in (old, tmp_path / "a" / "b"):
        make_private(directory)
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    make_private(tmp_path / "a" / "b")


@posix
def test_a_directory_that_others_can_enter_is_refused_not_changed(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    with pytest.raises(ConfigError, match="open to other users"):
        check_private(tmp_path)
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


def test_a_file_where_a_directory_should_be_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot make the directory"):
        make_private(tmp_path / "file")
    with pytest.raises(ConfigError, match="cannot make the directory"):
        make_private(tmp_path / "file" / "below")


def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "f"
    write_atomically(file, b"old", mode=0o600)
    if os.name == "posix":
        assert stat.S_IMODE(file.stat().st_mode) == 0o600

    def no_space(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(OSError, match="No space"):
        write_atomically(file, b"new")
    assert [(f.name, f.read_bytes()) for f in tmp_path.iterdir()] == [("f", b"old")]
