"""One process at a time."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from llmsuggestd.errors import ConfigError
from llmsuggestd.lock import holder, only_one

HOLD = """
import sys
from pathlib import Path
from llmsuggestd.lock import only_one
with only_one(Path(sys.argv[1]), RuntimeError):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_is_refused_until_the_first_is_gone(tmp_path: Path) -> None:
    file = tmp_path / "lock"
    with only_one(file, RuntimeError):
        assert file.read_text() == str(os.getpid())
        with pytest.raises(RuntimeError, match=str(os.getpid())), only_one(file, RuntimeError):
            pass
    assert file.read_text() == ""
    with only_one(file, RuntimeError):
        pass


def test_who_asks_for_the_holder_keeps_nobody_from_holding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asking takes the lock for a moment."""
    file = tmp_path / "lock"
    file.write_text("1")  # as a holder that was killed leaves it
    with file.open() as asking:
        fcntl.flock(asking, fcntl.LOCK_EX)
        monkeypatch.setattr("time.sleep", lambda _: fcntl.flock(asking, fcntl.LOCK_UN))
        with only_one(file, RuntimeError):
            assert file.read_text() == str(os.getpid())


def test_a_lock_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot write the lock"), only_one(tmp_path, OSError):
        pass


def test_a_killed_holder_holds_nothing(tmp_path: Path) -> None:
    file = tmp_path / "lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(RuntimeError, match=str(holder.pid)), only_one(file, RuntimeError):
            pass
        holder.kill()
    with only_one(file, RuntimeError):
        assert file.read_text() == str(os.getpid())


def test_the_holder_is_told_by_the_lock_and_not_by_the_file(tmp_path: Path) -> None:
    file = tmp_path / "lock"
    assert holder(file) is None
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        assert holder(file) == process.pid
        process.kill()
    assert file.read_text() == str(process.pid)  # nobody has removed it
    assert holder(file) is None
