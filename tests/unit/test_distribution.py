"""Advice to install packages names the command of the distribution."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmsuggestd import accelerators, distribution
from llmsuggestd.tray import backend


@pytest.mark.parametrize(
    ("os_release", "command"),
    [
        ('ID=debian\nVERSION_ID="12"\n', "sudo apt install"),
        ('ID=linuxmint\nID_LIKE="ubuntu debian"\n', "sudo apt install"),
        ("ID=fedora\n", "sudo dnf install"),
        ('ID="rhel"\nID_LIKE="fedora"\n', "sudo dnf install"),
        ("ID=arch\n", "sudo pacman -S"),
        ('ID="opensuse-tumbleweed"\nID_LIKE="opensuse suse"\n', "sudo zypper install"),
        ("ID=nixos\n", ""),
        ("", ""),
        (None, ""),
    ],
)
@pytest.mark.parametrize(
    "packages", [backend.PACKAGES, accelerators.COMPILER, accelerators.VULKAN], ids=[0, 1, 2]
)
def test_the_command(
    os_release: str | None,
    command: str,
    packages: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(distribution, "OS_RELEASE", tmp_path / "os-release")
    if os_release is not None:
        (tmp_path / "os-release").write_text(os_release)
    advice = distribution.install_command(packages, "otherwise")
    assert advice.startswith(f"{command} ") if command else advice == "otherwise"
