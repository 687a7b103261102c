"""The lock that lets only one process run at a time."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from llmsuggestd.errors import ConfigError
from llmsuggestd.identity import Process
from llmsuggestd.lock import holder, identity_file, is_held, only_one

HOLD = """
import sys
from pathlib import Path
from llmsuggestd.lock import only_one
with only_one(Path(sys.argv[1]), RuntimeError):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_process_is_refused_until_the_first_ends(tmp_path: Path) -> None:
    file = tmp_path / "lock"
    with only_one(file, RuntimeError):
        assert file.read_text() == str(os.getpid())  # for scripts
        assert holder(file) == Process.current()
        with pytest.raises(RuntimeError, match=str(os.getpid())), only_one(file, RuntimeError):
            pass
    assert file.read_text() == ""
    assert not identity_file(file).exists()
    with only_one(file, RuntimeError):
        pass


def test_looking_for_the_holder_does_not_block_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Looking takes the lock for a moment."""
    file = tmp_path / "lock"
    file.write_text("1")  # as a holder that was killed leaves it
    with file.open() as asking:
        fcntl.flock(asking, fcntl.LOCK_EX)
        monkeypatch.setattr("time.sleep", lambda _: fcntl.flock(asking, fcntl.LOCK_UN))
        with only_one(file, RuntimeError):
            assert holder(file) == Process.current()


@pytest.mark.parametrize("record", [b"", b"{", b'{"pid": 1}'], ids=["none", "cut off", "another"])
def test_a_number_without_its_identity_is_not_proven(tmp_path: Path, record: bytes) -> None:
    file = tmp_path / "lock"
    with only_one(file, RuntimeError):
        identity_file(file).write_bytes(record)
        found = holder(file)
        assert found == Process(pid=os.getpid())
        assert not found.runs


def test_a_lock_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot write the lock"), only_one(tmp_path, OSError):
        pass


def test_a_killed_holder_holds_nothing(tmp_path: Path) -> None:
    file = tmp_path / "lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(RuntimeError, match=str(process.pid)), only_one(file, RuntimeError):
            pass
        process.kill()
    with only_one(file, RuntimeError):
        assert holder(file) == Process.current()


def test_the_lock_decides_whether_there_is_a_holder(tmp_path: Path) -> None:
    file = tmp_path / "lock"
    assert holder(file) is None
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        held = holder(file)
        assert held is not None
        assert held.pid == process.pid
        assert held.runs
        process.kill()
        process.wait()
    assert str(process.pid) in file.read_text()  # it was left behind
    assert not held.runs
    assert holder(file) is None


UNSUPPORTED = [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL]


@pytest.fixture(params=UNSUPPORTED, ids=errno.errorcode.get)
def no_flock(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system without locks, such as NFS without lockd."""

    def flock(descriptor: int, operation: int) -> None:
        raise OSError(request.param, os.strerror(request.param))

    monkeypatch.setattr(fcntl, "flock", flock)


@pytest.mark.skipif(sys.platform != "linux", reason="what stands in for a lock is Linux's")
@pytest.mark.usefixtures("no_flock")
def test_without_file_locks_nothing_counts_as_locked(tmp_path: Path) -> None:
    file, other = tmp_path / "lock", tmp_path / "other"
    with only_one(file, RuntimeError):
        assert holder(file) == Process.current()
        with pytest.raises(RuntimeError, match=str(os.getpid())), only_one(file, RuntimeError):
            pass
        with only_one(other, RuntimeError):
            pass
    assert not is_held(file)
    with only_one(file, RuntimeError):
        pass


@pytest.mark.skipif(sys.platform != "linux", reason="what stands in for a lock is Linux's")
@pytest.mark.usefixtures("no_flock")
def test_without_locks_another_machine_is_believed(tmp_path: Path) -> None:
    """This machine cannot find out whether that process has ended."""
    file = tmp_path / "lock"
    there = Process(pid=7, started="1", machine="there", host="node1")
    file.write_text("7")
    identity_file(file).write_bytes(msgspec.json.encode(there))
    with pytest.raises(RuntimeError, match="pid 7 on node1"), only_one(file, RuntimeError):
        pass
    assert holder(file) == there
    here_before = msgspec.structs.replace(there, host=Process.current().host)
    # for example, before a power failure
    identity_file(file).write_bytes(msgspec.json.encode(here_before))
    with only_one(file, RuntimeError):
        pass


def test_any_other_failure_to_lock_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(descriptor: int, operation: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(fcntl, "flock", flock)
    with (
        pytest.raises(ConfigError, match=r"cannot lock .*Input/output error"),
        only_one(tmp_path / "lock", RuntimeError),
    ):
        pass
