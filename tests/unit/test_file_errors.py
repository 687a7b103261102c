"""The explanations of errors about files: a cause and a remedy."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from llmsuggestd.errors import ConfigError
from llmsuggestd.file_errors import explained, failed, unreadable
from llmsuggestd.files import make_private
from tests.support.users import ANOTHER, as_another, needs_root

posix = pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")


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
    """The system's error when a file is opened there for writing."""
    try:
        path.open("wb").close()
    except OSError as caught:
        return caught
    raise AssertionError(f"{path} can be written")


@posix
def test_a_file_or_folder_in_the_way_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLMSUGGESTD_HOME", str(tmp_path))
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
def test_what_is_not_ours_stays_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A variable that names a file or a link is wrong, not the file."""
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "broken").symlink_to("/nowhere/at/all")
    for root in ("file", "loop", "broken"):
        monkeypatch.setenv("LLMSUGGESTD_HOME", str(tmp_path / root))
        log = tmp_path / root / "state" / "log"
        _, hint = explained(log, opening(log))
        assert "LLMSUGGESTD_HOME" in hint
        assert "`mv" not in hint
        assert "`rm" not in hint


@posix
def test_links_that_lead_nowhere_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMSUGGESTD_HOME", str(tmp_path))
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    reason, hint = explained(tmp_path / "loop" / "f", opening(tmp_path / "loop" / "f"))
    assert reason == f"{tmp_path}/loop is a link that leads back to itself"
    assert hint == f"`rm {tmp_path}/loop` removes it"
    (tmp_path / "models").symlink_to("/mnt/large/models")
    with pytest.raises(ConfigError) as caught:
        make_private(tmp_path / "models")
    assert "models is a link to /mnt/large/models, which is not there" in caught.value.message
    assert caught.value.hint.startswith("mount or create its target")


@needs_root
def test_a_closed_path_is_named_with_the_command_that_opens_it(public: Path) -> None:
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
    assert why()[1].startswith("ask uid 4711, or")  # no remedy takes another user's files
    (public / "link").symlink_to(ours / "state")
    inside = public / "link" / "log"
    reason, _ = as_another(lambda: explained(inside, opening(inside)))
    assert reason == f"{ours}/state belongs to uid 4711"  # and not the link


@needs_root
def test_a_users_file_that_cannot_be_read(public: Path) -> None:
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
def test_a_system_folder_is_not_taken_over_recursively(
    public: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    public.chmod(0o700)

    def hint() -> str:
        return as_another(lambda: explained(public / "f", opening(public / "f"), "go away"))[1]

    monkeypatch.setenv("HOME", str(public.parent))
    assert hint() == f"`sudo chown {ANOTHER} {public}` makes it yours again"
    monkeypatch.setenv("HOME", "/home/ann")  # it is outside the user's home
    assert hint() == "ask root, or go away"


@needs_root
def test_root_gets_the_systems_reason(tmp_path: Path) -> None:
    reason, hint = explained(tmp_path / "f", error(errno.EPERM))
    assert (reason, hint) == ("Operation not permitted", f"look at `lsattr -d {tmp_path}`")
