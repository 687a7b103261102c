"""One process at a time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

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
