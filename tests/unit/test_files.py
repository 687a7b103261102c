"""Files: written whole, changed no more than asked, explained when they cannot be used."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from llmsuggestd.errors import ConfigError
from llmsuggestd.files import (
    Rewrite,
    check_private,
    explained,
    failed,
    make_private,
    rewrite,
    unreadable,
    write_atomically,
)
from tests.support.users import ANOTHER, as_another, needs_root

posix = pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder of root's that another user can get to, as pytest's cannot be."""
    folder = Path(tempfile.mkdtemp(prefix="llms-files-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


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
def test_where_a_link_leads_keeps_its_mode(tmp_path: Path) -> None:
    """It may be on a large disk, and for others, too."""
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
    """As one that is mounted by itself into a container."""
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
def test_what_may_not_be_written_is_found_out_first(public: Path) -> None:
    public.chmod(0o777)
    (public / "f").write_bytes(b"old")  # of root, mode 644
    with pytest.raises(PermissionError):
        as_another(lambda: Rewrite(public / "f", b"new"))
    assert [path.name for path in public.iterdir()] == ["f"]


# --- explaining ---------------------------------------------------------------------------------


def error(code: int) -> OSError:
    return OSError(code, os.strerror(code))


@posix
@pytest.mark.parametrize(
    ("code", "hint"),
    [
        (errno.EROFS, "LLMSUGGESTD_HOME"),
        (errno.ENOSPC, "make room"),
        (errno.EDQUOT, "quota"),
        (errno.ENAMETOOLONG, "shorter path"),
        (errno.ESTALE, "mount it again"),
        (errno.EMFILE, "`ulimit -n 1024`"),
        (errno.EIO, "`dmesg`"),
        (errno.ENOTRECOVERABLE, "LLMSUGGESTD_HOME"),
    ],
)
def test_each_error_of_the_system_has_a_remedy(code: int, hint: str, tmp_path: Path) -> None:
    found = failed(ConfigError, "cannot write", tmp_path / "f", error(code))
    assert found.message == f"cannot write {tmp_path / 'f'}: {os.strerror(code)}"
    assert hint in found.hint


def opening(path: Path) -> OSError:
    """What the system says when a file is to be written there."""
    try:
        path.open("wb").close()
    except OSError as caught:
        return caught
    raise AssertionError(f"{path} can be written")


@posix
def test_what_is_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "a file").touch()
    inside = tmp_path / "a file" / "below" / "f"
    assert explained(inside, opening(inside)) == (
        f"{tmp_path}/a file is a file, and should be a folder",
        f"`mv '{tmp_path}/a file' '{tmp_path}/a file'.old` moves it out of the way",
    )
    (tmp_path / "folder").mkdir()
    reason, _ = explained(tmp_path / "folder", opening(tmp_path / "folder"))
    assert reason == f"{tmp_path}/folder is a folder, and should be a file"
    with pytest.raises(ConfigError, match="a file is a file, and should be a folder"):
        make_private(tmp_path / "a file")


@posix
def test_links_that_lead_nowhere_are_named(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    reason, hint = explained(tmp_path / "loop" / "f", opening(tmp_path / "loop" / "f"))
    assert reason == f"{tmp_path}/loop is a link that leads back to itself"
    assert hint == f"`rm {tmp_path}/loop` removes it"
    (tmp_path / "models").symlink_to("/mnt/large/models")
    with pytest.raises(ConfigError) as caught:
        make_private(tmp_path / "models")
    assert "models is a link to /mnt/large/models, which is not there" in caught.value.message
    assert caught.value.hint.startswith("mount or make that")


@needs_root
def test_what_is_closed_is_named_with_what_opens_it(public: Path) -> None:
    ours = public / "llmsuggestd"
    (ours / "state").mkdir(parents=True)
    (ours / "state" / "log").touch()
    log = ours / "state" / "log"
    os.chown(ours, ANOTHER, ANOTHER)

    def why() -> tuple[str, str]:
        return as_another(lambda: explained(log, opening(log)))

    (ours / "state").chmod(0o700)
    assert why() == (
        f"{ours}/state belongs to root",
        f"`sudo chown -R {ANOTHER} {ours}/state` makes it yours again",
    )
    (ours / "state").chmod(0o755)
    assert why()[0] == f"{log} belongs to root"
    os.chown(log, ANOTHER, ANOTHER)
    log.chmod(0o400)
    assert why() == (f"the mode of {log} is 0400", f"`chmod u+rw {log}`")
    os.chown(ours / "state", 4711, 4711)
    (ours / "state").chmod(0o700)
    assert why()[0] == f"{ours}/state belongs to uid 4711"
    assert why()[1].startswith("ask uid 4711, or")  # nobody is to take another user's things
    (public / "link").symlink_to(ours / "state")
    inside = public / "link" / "log"
    reason, _ = as_another(lambda: explained(inside, opening(inside)))
    assert reason == f"{ours}/state belongs to uid 4711"  # and not the link


@needs_root
def test_a_file_of_the_users_that_cannot_be_read(public: Path) -> None:
    model = public / "m.gguf"
    model.touch(mode=0o600)

    def why(path: Path) -> tuple[str, str]:
        try:
            path.read_bytes()
        except OSError as error:
            found = unreadable(path, error)
            return found.message, found.hint
        raise AssertionError("it can be read")

    assert as_another(lambda: why(model)) == (
        f"{model}: cannot be read: {model} belongs to root",
        "ask root, or give another",
    )
    assert why(public) == (f"{public}: cannot be read: {os.strerror(errno.EISDIR)}", "")


@needs_root
def test_a_folder_of_the_systems_is_not_taken_over_with_all_it_has(
    public: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    public.chmod(0o700)

    def hint() -> str:
        return as_another(lambda: explained(public / "f", opening(public / "f"), "go away"))[1]

    monkeypatch.setenv("HOME", str(public.parent))
    assert hint() == f"`sudo chown {ANOTHER} {public}` makes it yours again"
    monkeypatch.setenv("HOME", "/home/ann")  # it is not theirs at all
    assert hint() == "ask root, or go away"


@needs_root
def test_root_is_told_what_the_system_says(tmp_path: Path) -> None:
    reason, hint = explained(tmp_path / "f", error(errno.EPERM))
    assert (reason, hint) == ("Operation not permitted", f"look at `lsattr -d {tmp_path}`")
