"""All of a file or nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from llmsuggestd.convert.gguf_file import beside, replacing
from llmsuggestd.errors import LlmsuggestdError
from llmsuggestd.identity import mark


def test_the_new_file_is_on_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "model.gguf"
    there: list[bool] = []
    monkeypatch.setattr(os, "fsync", lambda _: there.append(target.exists()))
    with replacing(target) as partial:
        partial.write_text("new")
    assert there == [False, True]  # the file, then the folder with its name


def test_the_new_file_takes_the_old_ones_place(tmp_path: Path) -> None:
    target = tmp_path / "model.gguf"
    target.write_text("old")
    with replacing(target) as partial:
        assert partial.parent == tmp_path
        partial.write_text("new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, ValueError, MemoryError])
def test_whatever_happens_the_old_file_stays(tmp_path: Path, error: type[BaseException]) -> None:
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

    monkeypatch.setattr(os, "open", refuse)  # root, who may run the tests, is refused nothing
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


def test_what_a_killed_process_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
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
