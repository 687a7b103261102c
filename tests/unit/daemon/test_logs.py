"""A log that has grown too long is rotated, whichever process writes to it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from llmsuggestd.paths import Paths

WRITE = """
import logging, os
from llmsuggestd.daemon import logs
from llmsuggestd.paths import get_paths
logs.MAX_BYTES = 2000
logs.set_up(get_paths())
for number in range(100):
    logging.info("line %d %s", number, "x" * 80)
    if number == 50:
        os.write(2, b"the engine says something\\n")
"""


def write(root: Path, stderr: Path) -> Paths:
    paths = Paths(*(root / name for name in ("config", "data", "cache", "state", "runtime")))
    paths.state.mkdir(exist_ok=True)
    with stderr.open("ab") as file:
        subprocess.run(
            [sys.executable, "-c", WRITE], stderr=file, check=True, timeout=60,
            env=os.environ | {"LLMSUGGESTD_HOME": str(root)},
        )  # fmt: skip
    return paths


def test_the_log_is_rotated(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    paths = write(tmp_path, tmp_path / "state" / "daemon.log")
    sizes = [path.stat().st_size for path in [paths.log_file, *paths.old_logs]]
    assert all(size < 2300 for size in sizes)
    assert all(size >= 2000 for size in sizes[1:])
    lines = "".join(
        path.read_text() for path in [*reversed(paths.old_logs), paths.log_file]
    ).splitlines()
    numbers = [int(line.split()[4]) for line in lines if " line " in line]
    assert numbers == list(range(numbers[0], 100))  # the last ones, none missing
    assert sorted(path.name for path in paths.state.iterdir()) == [
        "daemon.log", "daemon.log.1", "daemon.log.2", "daemon.log.3"
    ]  # fmt: skip


def test_a_file_that_the_user_redirects_to_is_left_alone(tmp_path: Path) -> None:
    own = tmp_path / "own.log"
    write(tmp_path, own)
    assert own.stat().st_size > 5000


def test_a_service_writes_to_the_log_whatever_its_manager_does_with_its_output(
    tmp_path: Path,
) -> None:
    script = """
import os, sys
from llmsuggestd.daemon import logs
from llmsuggestd.paths import get_paths
logs.set_up(get_paths(), to_file=True)
print("an error for people", file=sys.stderr)
os.write(1, b"the engine says something\\n")
"""
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60,
        env=os.environ | {"LLMSUGGESTD_HOME": str(tmp_path)},
    )  # fmt: skip
    assert (result.stdout, result.stderr) == ("", "")
    log = tmp_path / "state" / "daemon.log"
    assert sorted(log.read_text().splitlines()) == [
        "an error for people", "the engine says something"
    ]  # fmt: skip
    assert log.stat().st_mode & 0o077 == 0


def test_an_unwritable_log_does_not_stop_the_daemon(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("in the way")
    script = """
import logging
from llmsuggestd.daemon import logs
from llmsuggestd.paths import get_paths
logs.set_up(get_paths(), to_file=True)
logging.info("still here")
"""
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60,
        env=os.environ | {"LLMSUGGESTD_HOME": str(tmp_path)},
    )  # fmt: skip
    assert "cannot log to" in result.stderr
    assert "still here" in result.stderr
