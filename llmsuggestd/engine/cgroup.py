"""What Linux' control groups leave this process: containers, services and batch jobs have limits.

A limit of any group on the way from ours to the root holds, so the lowest counts. Both versions of
control groups are looked at; a system may mount both. The groups above a container's are not
visible from inside it.
"""

from __future__ import annotations

import contextlib
import functools
import re
from pathlib import Path
from typing import Final, NamedTuple

PROC: Final = Path("/proc/self")


class Group(NamedTuple):
    """One control group on the way from this process to the root."""

    folder: Path
    version: int
    """1 or 2, which have files of different names."""


def cpu_quota(proc: Path = PROC) -> float | None:
    """How many processors' time this process may use, such as 0.5; None where nobody says."""
    found = (_cpus_of(group) for group in _groups("cpu", proc))
    return min((cpus for cpus in found if cpus is not None), default=None)


def memory_left(proc: Path = PROC) -> int | None:
    """How many bytes of memory may still be taken; None where there is no limit."""
    found = (_memory_of(group) for group in _groups("memory", proc))
    return min((left for left in found if left is not None), default=None)


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


def _memory_of(group: Group) -> int | None:
    limit, used, cache = (
        ("memory.max", "memory.current", "inactive_file")
        if group.version == 2
        else ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
    )
    (most,), (now,) = _words(group.folder / limit, 1), _words(group.folder / used, 1)
    if not (most.isdigit() and now.isdigit()) or int(most) > 2**60:  # which version 1 has for none
        return None
    # cached pages of files give way
    lines = (line.split() for line in _text(group.folder / "memory.stat").splitlines())
    given_back = next((int(words[1]) for words in lines if words[0] == cache), 0)
    return max(0, int(most) - int(now) + given_back)


@functools.cache
def _groups(controller: str, proc: Path) -> list[Group]:
    """The groups of this process that may limit something, each with those around it."""
    found = []
    # the path in each hierarchy, by version 1's controllers, or "" for version 2
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
        # what is mounted may be a part of the hierarchy that we are not in, as far as we see
        inside = Path(path).relative_to(root) if Path(path).is_relative_to(root) else Path()
        if ".." in inside.parts:
            inside = Path()
        found += [Group(top / folder, version) for folder in (inside, *inside.parents)]
    return found


def _plain(path: str) -> str:
    """A path without the escapes of /proc (`\\040` for a space)."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), path)


def _words(file: Path, count: int) -> list[str]:
    """The words of a file, as many as it should have; empty ones if it is not so."""
    words = _text(file).split()
    return words if len(words) == count else [""] * count


def _text(file: Path) -> str:
    with contextlib.suppress(OSError):
        return file.read_text(encoding="utf-8", errors="surrogateescape")
    return ""
