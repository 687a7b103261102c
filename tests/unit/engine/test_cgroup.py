"""The limits of control groups, read from copies of Linux' files."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from llmsuggestd.engine import cgroup

MB = 2**20


class System:
    """A /proc/self and mounted hierarchies, in one folder."""

    def __init__(self, folder: Path) -> None:
        self.proc = folder / "proc"
        self.proc.mkdir()
        self.mounts = folder / "sys fs"  # a space, which mountinfo escapes
        self.groups: list[str] = []
        self.mounted: list[str] = []

    def hierarchy(self, line: str, *, kind: str, at: str, root: str = "/") -> None:
        """Add a hierarchy: its line in /proc/self/cgroup, and its mount."""
        self.groups.append(line)
        options = "rw,nsdelegate" if kind == "cgroup2" else f"rw,{line.split(':')[1]}"
        target = str(self.mounts / at).replace(" ", "\\040")
        self.mounted.append(f"30 25 0:26 {root} {target} rw shared:4 - {kind} none {options}")
        (self.mounts / at).mkdir(parents=True, exist_ok=True)
        (self.proc / "cgroup").write_text("\n".join(self.groups))
        (self.proc / "mountinfo").write_text("\n".join(self.mounted))

    def write(self, group: str, **files: str) -> None:
        """Write files of a group; `__` stands for the dot in a name."""
        folder = self.mounts / group
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (folder / name.replace("__", ".")).write_text(f"{text}\n")


@pytest.fixture
def system(tmp_path: Path) -> System:
    return System(tmp_path)


@pytest.mark.parametrize(
    ("limit", "cpus"),
    [("max 100000", None), ("50000 100000", 0.5), ("150000 100000", 1.5), ("800000 100000", 8.0),
     ("nonsense", None), ("1 0", None)],
)  # fmt: skip
def test_version_2_inside_a_container(system: System, limit: str, cpus: float | None) -> None:
    """The container sees its own group as the root."""
    system.hierarchy("0::/", kind="cgroup2", at="unified")
    system.write("unified", cpu__max=limit)
    assert cgroup.cpu_quota(system.proc) == cpus


def test_the_lowest_limit_on_the_way_up_counts(system: System) -> None:
    """A service with a quota, in a slice with a lower one."""
    system.hierarchy("0::/user.slice/app.slice/llm.service", kind="cgroup2", at="unified")
    system.write("unified/user.slice/app.slice/llm.service", cpu__max="400000 100000")
    system.write("unified/user.slice/app.slice", cpu__max="max 100000")
    system.write("unified/user.slice", cpu__max="200000 100000")
    system.write("unified/other.slice", cpu__max="10000 100000")
    assert cgroup.cpu_quota(system.proc) == 2


def test_version_1_where_the_container_sees_the_hosts_paths(system: System) -> None:
    """Docker without a cgroup namespace: the path is the host's, and the mount the container's."""
    system.hierarchy("4:cpu,cpuacct:/docker/1a", kind="cgroup", at="cpu", root="/docker/1a")
    system.hierarchy("0::/docker/1a", kind="cgroup2", at="unified", root="/docker/1a")
    system.write("cpu", cpu__cfs_quota_us="150000", cpu__cfs_period_us="100000")
    assert cgroup.cpu_quota(system.proc) == 1.5
    system.write("cpu", cpu__cfs_quota_us="-1")
    assert cgroup.cpu_quota(system.proc) is None


@pytest.mark.parametrize("path", ["/elsewhere", "/../elsewhere"])
def test_a_process_outside_of_the_mounted_part(system: System, path: str) -> None:
    system.hierarchy(f"0::{path}", kind="cgroup2", at="unified", root="/" if ".." in path else "/a")
    system.write("unified", cpu__max="50000 100000")
    system.write("elsewhere", cpu__max="10000 100000")
    assert cgroup.cpu_quota(system.proc) == 0.5


def test_both_versions_at_once(system: System) -> None:
    system.hierarchy("1:cpu:/batch", kind="cgroup", at="cpu")
    system.hierarchy("2:memory:/batch", kind="cgroup", at="memory")
    system.hierarchy("0::/", kind="cgroup2", at="unified")
    system.write("cpu/batch", cpu__cfs_quota_us="300000", cpu__cfs_period_us="100000")
    system.write("unified", cpu__max="400000 100000")
    system.write("memory", memory__limit_in_bytes="9223372036854771712",
                 memory__usage_in_bytes=str(MB))  # fmt: skip
    system.write("memory/batch", memory__limit_in_bytes=str(500 * MB),
                 memory__usage_in_bytes=str(400 * MB),
                 memory__stat=f"inactive_file 7\ntotal_inactive_file {50 * MB}")  # fmt: skip
    assert cgroup.cpu_quota(system.proc) == 3
    assert cgroup.memory_left(system.proc) == 150 * MB
    assert cgroup.memory_limit(system.proc) == 500 * MB


def test_memory_of_version_2(system: System) -> None:
    system.hierarchy("0::/a/b", kind="cgroup2", at="unified")
    system.write("unified/a/b", memory__max="max", memory__current=str(MB))
    assert cgroup.memory_left(system.proc) is None
    system.write("unified/a", memory__max=str(100 * MB), memory__current=str(90 * MB),
                 memory__stat=f"anon 1\ninactive_file {5 * MB}")  # fmt: skip
    assert cgroup.memory_left(system.proc) == 15 * MB
    system.write("unified/a", memory__current=str(120 * MB))
    assert cgroup.memory_left(system.proc) == 0


def test_no_control_groups_no_limit(tmp_path: Path) -> None:
    assert cgroup.cpu_quota(tmp_path) is None
    assert cgroup.memory_left(tmp_path) is None


@pytest.fixture
def half_a_processor() -> Iterator[Path]:
    """A real group with a quota of 0.5 CPUs. Skips the test if none can be made."""
    name = f"llmsuggestd-{uuid.uuid4().hex[:8]}"
    version_1, version_2 = (Path("/sys/fs/cgroup") / part / name for part in ("cpu", ""))
    group = version_1 if version_1.parent.is_dir() else version_2
    try:
        group.mkdir()
    except OSError:
        pytest.skip("no control group can be made here")
    try:
        if group == version_1:
            (group / "cpu.cfs_quota_us").write_text("50000")
        else:
            (group / "cpu.max").write_text("50000 100000")
        yield group
    except OSError:
        pytest.skip("this control group takes no quota")
    finally:
        group.rmdir()


@pytest.mark.skipif(sys.platform != "linux", reason="control groups are Linux's")
def test_a_real_quota(half_a_processor: Path) -> None:
    code = (
        "import os, pathlib, sys; pathlib.Path(sys.argv[1]).write_text(str(os.getpid()))\n"
        "from llmsuggestd.engine import cgroup, threads\n"
        "print(cgroup.cpu_quota(), threads.usable_cores(), threads.free_cores(0))"
    )
    command = [sys.executable, "-c", code, str(half_a_processor / "cgroup.procs")]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert said.stdout.split() == ["0.5", "1", "0"]
    assert os.getpid() not in map(int, (half_a_processor / "cgroup.procs").read_text().split())
