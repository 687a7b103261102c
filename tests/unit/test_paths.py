"""The locations of files."""

from __future__ import annotations

import os
import pwd
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from llmsuggestd.errors import ConfigError
from llmsuggestd.paths import (
    BASE_DIRECTORIES,
    expanded,
    get_paths,
    home,
    resolved_variables,
    socket_override,
)

posix = pytest.mark.skipif(os.name != "posix", reason="needs POSIX modes")
linux = pytest.mark.skipif(sys.platform != "linux", reason="Linux's folders")


def test_one_variable_moves_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMSUGGESTD_HOME", str(tmp_path))
    paths = get_paths()
    files = [paths.config_file, paths.client_file, paths.token_file, paths.socket, paths.log_file]
    assert all(path.is_relative_to(tmp_path) for path in [*paths.directories(), *files])


def test_without_the_variable_the_system_decides(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("LLMSUGGESTD_HOME", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "c"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "r"))
    (tmp_path / "r").mkdir(mode=0o700)
    paths = get_paths()
    if os.name == "posix" and os.uname().sysname == "Linux":
        assert paths.client_file == tmp_path / "c" / "llmsuggestd" / "client.json"
        assert paths.socket == tmp_path / "r" / "llmsuggestd" / "daemon.sock"


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The home of an account, with no other variables."""
    for name in [*BASE_DIRECTORIES, "XDG_RUNTIME_DIR", "LLMSUGGESTD_HOME", "LLMSUGGESTD_SOCKET"]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def nobody(_: int) -> NoReturn:
    raise KeyError("getpwuid(): uid not found")


@pytest.fixture
def directory(account: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A valid runtime directory."""
    directory = tmp_path / "run"
    directory.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(directory))
    return directory


@linux
def test_a_valid_runtime_directory_is_used(directory: Path) -> None:
    assert get_paths().socket == directory / "llmsuggestd" / "daemon.sock"


@linux
@pytest.mark.parametrize(
    "spoil",
    [
        lambda directory, _: directory.chmod(0o755),
        lambda directory, _: directory.chmod(0o770),
        lambda directory, _: directory.chmod(0o500),
        lambda directory, _: directory.rmdir(),
        lambda directory, _: (directory.rmdir(), directory.touch(0o700)),
        lambda directory, _: (
            directory.rename(directory.with_name("x")),
            directory.symlink_to(directory.with_name("x")),
        ),
        lambda directory, patch: patch.setattr(os, "getuid", lambda: 54321),
        lambda directory, patch: patch.setenv("XDG_RUNTIME_DIR", "run"),
        lambda directory, patch: patch.setenv("XDG_RUNTIME_DIR", ""),
        lambda directory, patch: patch.delenv("XDG_RUNTIME_DIR"),
    ],
    ids=["755", "770", "read-only", "missing", "file", "link", "another's", "relative", "empty",
         "unset"],
)  # fmt: skip
def test_an_invalid_runtime_directory_counts_as_unset(
    spoil: Callable[[Path, pytest.MonkeyPatch], object],
    directory: Path,
    account: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(directory.parent)
    access = os.access  # root may write everywhere
    monkeypatch.setattr(
        os, "access", lambda p, m: access(p, m) and bool(Path(p).stat().st_mode & 0o200)
    )
    spoil(directory, monkeypatch)
    usual = Path(f"/run/user/{os.getuid()}")
    runtime = usual / "llmsuggestd" if usual.is_dir() else account / ".local/state/llmsuggestd/run"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert get_paths().runtime == runtime


@posix
@pytest.mark.parametrize("value", [None, "", "relative", "~"])
def test_an_invalid_home_counts_as_unset(
    value: str | None, account: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if value is None:
        monkeypatch.delenv("HOME")
    else:
        monkeypatch.setenv("HOME", value)
    assert home() == Path(pwd.getpwuid(os.getuid()).pw_dir)


@posix
def test_without_a_home_the_error_is_one_line(
    account: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", nobody)
    with pytest.raises(ConfigError, match="there is no home") as caught:
        get_paths()
    assert "LLMSUGGESTD_HOME" in caught.value.hint


@posix
def test_no_home_is_required_if_variables_name_all_folders(
    account: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", nobody)
    for name in BASE_DIRECTORIES:
        monkeypatch.setenv(name, str(tmp_path / name))
    assert get_paths().config == tmp_path / "XDG_CONFIG_HOME" / "llmsuggestd"
    for name in BASE_DIRECTORIES:
        monkeypatch.delenv(name)
    monkeypatch.setenv("LLMSUGGESTD_HOME", str(tmp_path))
    assert get_paths().config == tmp_path / "config"


@posix
@pytest.mark.parametrize("value", ["", "relative", "~/x"])
def test_a_base_directory_that_is_not_absolute_counts_as_unset(
    value: str, account: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = get_paths()
    for name in BASE_DIRECTORIES:
        monkeypatch.setenv(name, value)
    assert get_paths() == before


@posix
@pytest.mark.parametrize("text", ["~", "~/x", "~//x", "~/x/../y"])
def test_a_tilde_that_no_shell_has_expanded_is_the_home(
    text: str, account: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLMSUGGESTD_HOME", text)
    monkeypatch.setenv("LLMSUGGESTD_SOCKET", text)
    meant = account.joinpath(*Path(text).parts[1:])
    assert get_paths().config == meant / "config"
    assert socket_override() == meant
    assert resolved_variables()["LLMSUGGESTD_HOME"] == str(meant)


@posix
def test_a_tilde_may_name_a_user(account: Path) -> None:
    user = pwd.getpwuid(os.getuid())
    assert expanded(f"~{user.pw_name}/x", "a setting") == Path(user.pw_dir) / "x"


@posix
def test_a_tilde_with_an_unknown_user_is_refused(
    account: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLMSUGGESTD_HOME", "~no-such-user/x")
    with pytest.raises(ConfigError, match=r"\$LLMSUGGESTD_HOME.*no user 'no-such-user'"):
        get_paths()


@posix
def test_a_tilde_elsewhere_in_a_path_is_a_character() -> None:
    assert expanded("/a/~/b~", "a setting") == Path("/a/~/b~")
    assert expanded("./~", "a setting") == Path("~")


@posix
def test_a_relative_path_in_a_folder_that_is_gone_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()
    monkeypatch.setenv("LLMSUGGESTD_HOME", "here")
    with pytest.raises(ConfigError, match=r"LLMSUGGESTD_HOME.*relative"):
        get_paths()
    monkeypatch.chdir(tmp_path)
    assert get_paths().config == tmp_path / "here" / "config"
