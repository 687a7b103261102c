"""Where files go."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from llmsuggestd.paths import get_paths


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
