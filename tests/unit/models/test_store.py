"""The store: models that may be replaced and removed, and models that may not."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from llmsuggestd.errors import LlmsuggestdError, ModelError, UsageError
from llmsuggestd.models import store
from llmsuggestd.models.store import Record
from llmsuggestd.paths import Paths
from llmsuggestd.units import size_text

REPO = "owner/name@" + "0" * 40


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    result = Paths(*(tmp_path / name for name in ("config", "data", "cache", "state", "runtime")))
    result.models.mkdir(parents=True)
    return result


def place(paths: Paths, model_id: str, source: str = REPO, data: bytes = b"x" * 10) -> None:
    file = paths.data / "new"
    file.write_bytes(data)
    store.place(paths, model_id, file, Record(source, "mit", len(data)))


def test_a_placed_model_can_be_removed(paths: Paths) -> None:
    place(paths, "m")
    (model,) = store.installed(paths)
    assert store.details(paths, model) == store.Details(None, REPO, "mit", None)
    store.check_removable(paths, "m")
    assert store.remove(paths, "m") == 10
    assert list(paths.models.iterdir()) == []


def test_a_model_added_manually_is_left_alone(paths: Paths) -> None:
    (paths.models / "mine.gguf").write_bytes(b"x")
    with pytest.raises(ModelError, match="was added manually"):
        store.check_removable(paths, "mine")
    with pytest.raises(ModelError, match="was added manually"):
        store.check_free(paths, "mine", REPO)


def test_a_file_put_over_ours_is_not_ours(paths: Paths) -> None:
    place(paths, "m")
    (paths.models / "m.gguf").write_bytes(b"another")
    with pytest.raises(ModelError, match="was added manually"):
        store.check_removable(paths, "m")


def test_the_starter_stays(paths: Paths) -> None:
    store.place_starter(paths)
    with pytest.raises(ModelError, match="belongs to the installation"):
        store.check_removable(paths, "starter")
    with pytest.raises(ModelError, match="the model that ships"):
        store.check_free(paths, "starter", REPO)


def test_an_id_belongs_to_one_source(paths: Paths) -> None:
    place(paths, "m")
    store.check_free(paths, "m", "owner/name@" + "1" * 40)
    with pytest.raises(ModelError, match="a model 'm' is installed already, from owner/name"):
        store.check_free(paths, "m", "owner/other@" + "0" * 40)


def fail_to_replace(
    monkeypatch: pytest.MonkeyPatch, error: int, fails: Callable[[Path, Path], bool]
) -> None:
    """Make the system refuse to replace files, where `fails` says so."""
    replace = Path.replace

    def refusing(self: Path, target: Path) -> Path:
        if fails(self, target):
            raise OSError(error, os.strerror(error))
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", refusing)


def test_a_models_folder_may_be_on_another_disk(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    place(paths, "m", data=b"the first")
    fail_to_replace(monkeypatch, errno.EXDEV, lambda file, target: file.parent != target.parent)
    place(paths, "m", data=b"the second")
    assert (paths.models / "m.gguf").read_bytes() == b"the second"
    assert {file.name for file in paths.models.iterdir()} == {"m.gguf", "m.json"}
    assert not (paths.data / "new").exists()


def test_a_replacement_that_fails_changes_nothing(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For example on Windows, where a served file cannot be replaced."""
    place(paths, "m", data=b"the first")
    with monkeypatch.context() as patch:
        fail_to_replace(patch, errno.EACCES, lambda _, target: target.suffix == ".gguf")
        for model_id in ("m", "other"):
            with pytest.raises(PermissionError):
                place(paths, model_id, data=b"longer than the first")
    assert {file.name for file in paths.models.iterdir()} == {"m.gguf", "m.json"}
    place(paths, "m", data=b"the second")  # it is still ours


def test_a_link_to_a_dead_mount_hides_no_other_model(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    place(paths, "m")
    place(paths, "on-a-mount")
    stat = Path.stat

    def dead(self: Path, **how: bool) -> os.stat_result:
        if self.stem == "on-a-mount":
            raise OSError(errno.ENOTCONN, "Transport endpoint is not connected")
        return stat(self, **how)

    monkeypatch.setattr(Path, "stat", dead)
    assert store.find(paths, "m").bytes == 10
    with pytest.raises(ModelError, match="not installed"):
        store.find(paths, "on-a-mount")


def test_an_id_that_is_taken_meanwhile_is_not_taken_over(paths: Paths) -> None:
    place(paths, "m", data=b"the first")
    with pytest.raises(ModelError, match="a model 'm' is installed already"):
        place(paths, "m", "owner/other@" + "0" * 40)
    (model,) = store.installed(paths)
    assert model.path.read_bytes() == b"the first"


def test_only_the_link_to_a_model_is_removed(paths: Paths, tmp_path: Path) -> None:
    mine = tmp_path / "mine.gguf"
    mine.write_bytes(b"x" * 10)
    link = paths.data / "link"
    link.symlink_to(mine)
    store.place(paths, "m", link, Record(str(mine), None, 10))
    mine.write_bytes(b"x" * 20)  # the user may change it
    store.check_removable(paths, "m")
    assert store.remove(paths, "m") == 0
    assert mine.stat().st_size == 20
    assert list(paths.models.iterdir()) == []


def test_a_model_that_may_not_be_removed_is_refused_before_any_change(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    place(paths, "m")
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may do everything
    with pytest.raises(ModelError, match=r"cannot remove .*m\.gguf"):
        store.check_removable(paths, "m")


def test_a_refusal_of_the_system_is_one_line(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, os.strerror(13))

    place(paths, "m")
    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(ModelError, match=r"cannot remove .*: Permission denied"):
        store.remove(paths, "m")
    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(ModelError, match=r"cannot read .*: Permission denied"):
        store.installed(paths)


def test_a_link_to_nothing_can_be_removed(paths: Paths, tmp_path: Path) -> None:
    (paths.models / "m.gguf").symlink_to(tmp_path / "gone")
    assert store.installed(paths) == []
    store.check_free(paths, "m", REPO)
    store.check_removable(paths, "m")
    assert store.remove(paths, "m") == 0


@pytest.mark.parametrize("name", ["", "..", "a/b", "../m", ".m", "a\0b", "m\n", "C:x", "a" * 101])
def test_an_invalid_id_never_becomes_a_path(paths: Paths, name: str) -> None:
    for use in (store.model_path, store.record_path, store.check_removable):
        with pytest.raises(UsageError, match="cannot be a model's id"):
            use(paths, name)


def test_free_space_is_checked(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = SimpleNamespace(free=store.SPARE_BYTES + 1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    store.check_room(paths.models, 1000)
    with pytest.raises(LlmsuggestdError, match="not enough room"):
        store.check_room(paths.models, 1001)


@pytest.mark.parametrize(
    ("model_id", "daemon", "expected"),
    [
        ("a", "ready", "loaded"), ("a", "busy", "loaded"), ("a", "loading", "loading"),
        ("a", "failed", "failed"), ("a", "idle", "available"), ("b", "ready", "loading"),
        ("c", "ready", "available"),
    ],
)  # fmt: skip
def test_states(model_id: str, daemon: str, expected: str) -> None:
    assert store.state_of(model_id, daemon, "a", "b") == expected


def test_a_file_that_cannot_be_read_is_listed_without_details(paths: Paths) -> None:
    (paths.models / "broken.gguf").write_bytes(b"no gguf")
    (model,) = store.installed(paths)
    assert store.details(paths, model) == store.Details(None, None, None, None)
    os.unlink(model.path)  # noqa: PTH108 - while it is listed
    assert store.details(paths, model) == store.Details(None, None, None, None)


@pytest.mark.parametrize(
    ("count", "words"),
    [(3_708_096, "3.7 MB"), (999_900_000, "999.9 MB"), (5_550_000_000, "5.55 GB")],
)
def test_sizes_are_short(count: int, words: str) -> None:
    assert size_text(count) == words


@pytest.fixture
def team(paths: Paths, tmp_path: Path) -> Path:
    """A folder with colleagues' models, to which the models folder is a link."""
    folder = tmp_path / "team"
    folder.mkdir()
    for name in ("starter", "big"):
        (folder / f"{name}.gguf").write_bytes(b"of another version")
    paths.models.rmdir()
    paths.models.symlink_to(folder)
    return folder


def test_the_starter_of_a_shared_folder_is_the_one_that_ships(paths: Paths, team: Path) -> None:
    found = {model.id: model.path for model in store.installed(paths)}
    assert found == {"big": paths.models / "big.gguf", "starter": store.SHIPPED}
    assert store.has_starter(paths)
    store.place_starter(paths)
    assert (team / "starter.gguf").read_bytes() == b"of another version"
    (team / "starter.gguf").write_bytes(store.SHIPPED.read_bytes())
    assert store.find(paths, "starter").path == paths.models / "starter.gguf"
    (team / "starter.gguf").unlink()
    assert store.find(paths, "starter").path == store.SHIPPED
