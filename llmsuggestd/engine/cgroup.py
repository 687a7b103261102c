"""Reads the CPU and memory limits of this process's control groups (Linux).

Containers, services and batch jobs have such limits. The limits of all groups from ours up to the
root apply, so the lowest counts. A system may mount both versions of control groups, so both are
read. Inside a container, the groups above it are not visible.
"""

from __future__ import annotations

import contextlib
import functools
import re
from pathlib import Path
from typing import Final, NamedTuple

PROC: Final = Path("/proc/self")


class Group(NamedTuple):
    """This process's control group, or one above it."""

    folder: Path
    version: int
    """1 or 2. The versions have different file names."""


class Memory(NamedTuple):
    """The memory of a control group, in bytes."""

    limit: int
    left: int


def cpu_quota(proc: Path = PROC) -> float | None:
    """The CPU time that this process may use, in CPUs (such as 0.5); None without a limit."""
    found = (_cpus_of(group) for group in _groups("cpu", proc))
    return min((cpus for cpus in found if cpus is not None), default=None)


def memory_left(proc: Path = PROC) -> int | None:
    """Number of bytes that this process may still allocate; None without a limit."""
    found = (_memory_of(group) for group in _groups("memory", proc))
    return min((memory.left for memory in found if memory is not None), default=None)


def memory_limit(proc: Path = PROC) -> int | None:
    """Number of bytes that this process's groups may allocate in all; None without a limit."""
    found = (_memory_of(group) for group in _groups("memory", proc))
    return min((memory.limit for memory in found if memory is not None), default=None)


def _cpus_of(group: Group) -> float | None:
    if group.version == 2:
        quota, period = _words(group.folder / "cpu.max", 2)
    else:
        quota, period = (
            *_words(group.folder / "cpu.cfs_quota_us", 1),
            *_words(group.folder / "cpu.cfs_period_us", 1),
        )
    if not (quota.isdigit() and period.isdigit() and int(period)):  # `max`, -1, or no such file
        return None
    return int(quota) / int(period)


def _memory_of(group: Group) -> Memory | None:
    limit, used, cache = (
        ("memory.max", "memory.current", "inactive_file")
        if group.version == 2
        else ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
    )
    (most,), (now,) = _words(group.folder / limit, 1), _words(group.folder / used, 1)
    if not (most.isdigit() and now.isdigit()) or int(most) > 2**60:  # version 1's "no limit"
        return None
    # the kernel reclaims inactive cached pages when memory is needed
    lines = (line.split() for line in _text(group.folder / "memory.stat").splitlines())
    reclaimable = next((int(words[1]) for words in lines if words[0] == cache), 0)
    return Memory(int(most), max(0, int(most) - int(now) + reclaimable))


@functools.cache
def _groups(controller: str, proc: Path) -> list[Group]:
    """The groups of this process with a controller, each with the groups above it."""
    found = []
    # the path in each hierarchy, by its controller; version 2's has the key ""
    ours: dict[str, str] = {}
    for line in _text(proc / "cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        ours |= dict.fromkeys(controllers.split(","), path)
    for line in _text(proc / "mountinfo").splitlines():
        mount, _, kind = line.partition(" - ")
        fields, kind_fields = mount.split(" "), kind.split(" ")
        if kind_fields[0] == "cgroup2" and "" in ours:
            version, path = 2, ours[""]
        elif (
            kind_fields[0] == "cgroup"
            and controller in ours
            and controller in kind_fields[2].split(",")
        ):
            version, path = 1, ours[controller]
        else:
            continue
        root, top = Path(_plain(fields[3])), Path(_plain(fields[4]))
        # the mounted part of the hierarchy may not contain our path
        inside = Path(path).relative_to(root) if Path(path).is_relative_to(root) else Path()
        if ".." in inside.parts:
            inside = Path()
        found += [Group(top / folder, version) for folder in (inside, *inside.parents)]
    return found


def _plain(path: str) -> str:
    """A path with the escapes of /proc (`\\040` for a space) decoded."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), path)


def _words(file: Path, count: int) -> list[str]:
    """The words of a file; `count` empty ones if it has another number of them."""
    words = _text(file).split()
    return words if len(words) == count else [""] * count


def _text(file: Path) -> str:
    with contextlib.suppress(OSError):
        return file.read_text(encoding="utf-8", errors="surrogateescape")
    return ""
