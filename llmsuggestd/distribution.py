"""The commands that install packages of the system, for messages that advise it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

OS_RELEASE: Final = Path("/etc/os-release")

# distribution (ID or ID_LIKE of os-release) -> the command before the names of packages
COMMANDS: Final = {
    "debian": "sudo apt install",
    "fedora": "sudo dnf install",
    "arch": "sudo pacman -S",
    "suse": "sudo zypper install",
}


def install_command(packages: Mapping[str, str], otherwise: str) -> str:
    """The command that installs packages on this distribution.

    `packages` has their names for each distribution of `COMMANDS`. `otherwise` is the advice for
    other systems.
    """
    for name in _distributions():
        if name in packages:
            return f"{COMMANDS[name]} {packages[name]}"
    return otherwise


def _distributions() -> list[str]:
    """The distribution's id, then the ids of those it is based on."""
    try:
        lines = OS_RELEASE.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    pairs = dict(line.split("=", 1) for line in lines if "=" in line)
    names = f"{pairs.get('ID', '')} {pairs.get('ID_LIKE', '')}".replace('"', "").split()
    return ["suse" if "suse" in name else name for name in names]
