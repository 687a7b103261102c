"""Making private folders, and writing files so that an interruption leaves nothing half-written."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from llmsuggestd.errors import ConfigError, LlmsuggestdError
from llmsuggestd.files import (
    Rewrite,
    beside,
    check_private,
    make_private,
    replacing,
    rewrite,
    write_atomically,
)
from llmsuggestd.identity import mark
from tests.support.users import ANOTHER, as_another, needs_root

posix = pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


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


@posix
def test_the_target_of_a_link_keeps_its_mode(tmp_path: Path) -> None:
    """It may be a shared folder on a large disk."""
    (tmp_path / "team").mkdir()
    (tmp_path / "team").chmod(0o775)
    (tmp_path / "ours").symlink_to(tmp_path / "team")
    make_private(tmp_path / "ours")
    assert mode_of(tmp_path / "team") == 0o775


# --- rewriting a file of the user's ------------------------------------------------------------


@posix
def test_a_rewritten_file_keeps_mode_and_link(tmp_path: Path) -> None:
    real = tmp_path / "dotfiles.toml"
    real.write_bytes(b"old")
    real.chmod(0o640)
    (tmp_path / "config.toml").symlink_to(real)
    rewrite(tmp_path / "config.toml", b"new")
    assert real.read_bytes() == b"new"
    assert (tmp_path / "config.toml").is_symlink()
    assert mode_of(real) == 0o640
    assert {path.name for path in tmp_path.iterdir()} == {"dotfiles.toml", "config.toml"}


@posix
def test_a_rewritten_file_keeps_its_other_names(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"a longer text")
    (tmp_path / "other").hardlink_to(tmp_path / "one")
    rewrite(tmp_path / "one", b"new")
    assert (tmp_path / "other").read_bytes() == b"new"


def test_nothing_changes_until_the_commit(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"old")
    new = Rewrite(tmp_path / "f", b"new")
    assert (tmp_path / "f").read_bytes() == b"old"
    new.abandon()
    assert [(f.name, f.read_bytes()) for f in tmp_path.iterdir()] == [("f", b"old")]


def test_a_file_that_cannot_be_replaced_is_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For example, a file that is mounted into a container."""
    (tmp_path / "f").write_bytes(b"a longer text")

    def busy(*_: object) -> None:
        raise OSError(errno.EBUSY, "Device or resource busy")

    monkeypatch.setattr(Path, "replace", busy)
    rewrite(tmp_path / "f", b"new")
    assert [(f.name, f.read_bytes()) for f in tmp_path.iterdir()] == [("f", b"new")]


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "f").write_bytes(b"old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        Rewrite(tmp_path / "f", b"new")
    assert [(f.name, f.read_bytes()) for f in tmp_path.iterdir()] == [("f", b"old")]


@needs_root
def test_a_rewritten_file_keeps_its_owner(public: Path) -> None:
    for folder, mode in ((public / "open", 0o777), (public / "closed", 0o755)):
        folder.mkdir()
        folder.chmod(mode)
        file = folder / "config.toml"
        file.write_bytes(b"a longer text")
        os.chown(file, ANOTHER, 0)
        file.chmod(0o600)
        as_another(lambda file=file: rewrite(file, b"new"))  # type: ignore[misc]
        assert file.read_bytes() == b"new"
        assert (file.stat().st_uid, file.stat().st_gid) == (ANOTHER, 0)
        rewrite(file, b"root's")
        assert (file.stat().st_uid, mode_of(file)) == (ANOTHER, 0o600)


@needs_root
def test_a_file_that_must_not_be_written_is_detected_first(public: Path) -> None:
    public.chmod(0o777)
    (public / "f").write_bytes(b"old")  # of root, mode 644
    with pytest.raises(PermissionError):
        as_another(lambda: Rewrite(public / "f", b"new"))
    assert [path.name for path in public.iterdir()] == ["f"]


def test_the_new_file_is_on_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "model.gguf"
    there: list[bool] = []
    monkeypatch.setattr(os, "fsync", lambda _: there.append(target.exists()))
    with replacing(target) as partial:
        partial.write_text("new")
    assert there == [False, True]  # the file, then the folder with its name


def test_the_new_file_replaces_the_old_one(tmp_path: Path) -> None:
    target = tmp_path / "model.gguf"
    target.write_text("old")
    with replacing(target) as partial:
        assert partial.parent == tmp_path
        partial.write_text("new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, ValueError, MemoryError])
def test_after_any_error_the_old_file_stays(tmp_path: Path, error: type[BaseException]) -> None:
    target = tmp_path / "model.gguf"
    target.write_text("old")

    def fail_half_way() -> None:
        with replacing(target) as partial:
            partial.write_text("half")
            raise error

    with pytest.raises(error):
        fail_half_way()
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_disk_that_fills_up_is_one_line(tmp_path: Path) -> None:
    target = tmp_path / "model.gguf"
    with pytest.raises(LlmsuggestdError, match="No space left") as caught, replacing(target):
        raise OSError(28, os.strerror(28))
    assert caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(13, os.strerror(13))

    monkeypatch.setattr(os, "open", refuse)  # the tests may run as root
    with (
        pytest.raises(LlmsuggestdError, match="cannot be written: Permission denied") as caught,
        replacing(tmp_path / "model.gguf"),
    ):
        raise AssertionError("the block must not be reached")
    assert caught.value.hint == "choose another place"


def test_the_new_file_has_the_mode_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "other").touch()
    with replacing(tmp_path / "model.gguf"):
        pass
    modes = {path.stat().st_mode for path in tmp_path.iterdir()}
    assert len(modes) == 1


def test_only_files_of_killed_processes_are_removed(tmp_path: Path) -> None:
    dead = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"],
                          capture_output=True, text=True, check=True).stdout.strip()  # fmt: skip
    where = mark().partition("-")[2]
    elsewhere = f"{dead}-00000000"  # on another machine, it may run
    dead, alive = f"{dead}-{where}", f"{os.getppid()}-{where}"
    target = tmp_path / "model.gguf"
    f16 = tmp_path / f".model.gguf.{dead}.f16"
    left = [
        tmp_path / f".model.gguf.{dead}.partial",
        f16,
        tmp_path / f".{f16.name}.{dead}.partial",
    ]
    kept = [
        tmp_path / f".model.gguf.{alive}.partial",
        tmp_path / f".model.gguf.{elsewhere}.partial",
        tmp_path / f".other.gguf.{dead}.partial",
        tmp_path / f"..model.gguf.{alive}.f16.{alive}.partial",
        tmp_path / ".model.gguf.x.partial",
        tmp_path / f"model.gguf.{dead}.partial",
    ]
    for path in left + kept:
        path.touch()
    with replacing(target):
        pass
    assert set(tmp_path.iterdir()) == {target, *kept}


def test_names_beside_a_target_belong_to_this_process() -> None:
    assert beside(Path("a/m.gguf"), "f16") == Path(f"a/.m.gguf.{mark()}.f16")
