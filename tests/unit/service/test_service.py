"""The files that service managers read."""

from __future__ import annotations

import plistlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from llmsuggestd import service
from llmsuggestd.service import launchd, systemd


def test_a_portable_installation_registers_no_service(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LLMSUGGESTD_HOME", str(tmp_path))
    manager, reason = service.detect()
    assert manager is None
    assert "LLMSUGGESTD_HOME" in reason


def test_the_unit_runs_this_installation(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setattr(sys, "executable", "/opt/with space/100%/$bin/python")
    unit = systemd.SystemdService()
    assert unit.file == tmp_path / "systemd" / "user" / "llmsuggestd.service"
    assert (
        'ExecStart="/opt/with space/100%%/$$bin/python" -P -m llmsuggestd serve\n' in unit.content()
    )
    assert "@" not in unit.content().replace("@COMMAND@ and", "")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_accepts_the_unit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    file = tmp_path / "llmsuggestd.service"
    file.write_text(systemd.SystemdService().content())
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    result = subprocess.run(
        ["systemd-analyze", "--user", "verify", str(file)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert "llmsuggestd.service:" not in result.stderr, result.stderr


def test_systemd_is_only_used_where_it_answers(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fake = tmp_path / "systemctl"
    fake.write_text("#!/bin/sh\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert systemd.SystemdService.detect() == (None, "systemd runs no user manager here")
    fake.write_text("#!/bin/sh\nexit 0\n")
    found, reason = systemd.SystemdService.detect()
    assert found is not None
    assert reason == ""
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    assert systemd.SystemdService.detect() == (None, "no systemd here")


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A stand-in for systemctl and launchctl that writes down what it is told."""
    record = tmp_path / "record"
    for name in ("systemctl", "launchctl"):
        (tmp_path / name).write_text(f'#!/bin/sh\necho {name} "$@" >> {record}\n')
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("HOME", str(tmp_path))
    return record


def test_systemd_is_told_in_the_right_order(recorded: Path) -> None:
    unit = systemd.SystemdService()
    unit.register()
    assert unit.file.read_text() == unit.content()
    unit.start()
    unit.stop()
    unit.unregister()
    assert not unit.file.exists()
    assert recorded.read_text().splitlines() == [
        "systemctl --user daemon-reload",
        "systemctl --user enable llmsuggestd.service",
        "systemctl --user start llmsuggestd.service",
        "systemctl --user stop llmsuggestd.service",
        "systemctl --user disable --now llmsuggestd.service",
        "systemctl --user daemon-reload",
    ]


def test_the_launchd_agent_runs_this_installation(recorded: Path) -> None:
    agent = launchd.LaunchdService()
    agent.register()
    content = plistlib.loads(agent.file.read_bytes())
    assert content["Label"] == agent.file.stem == launchd.LABEL
    assert content["ProgramArguments"] == service.command_line()
    assert content["RunAtLoad"] is True
    assert content["StandardErrorPath"].endswith("daemon.log")
    agent.start()
    agent.unregister()
    assert not agent.file.exists()
    assert [line.split()[1] for line in recorded.read_text().splitlines()] == [
        "bootstrap",
        "bootout",
    ]


def test_what_a_manager_says_is_passed_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "systemctl").write_text("#!/bin/sh\necho 'Unit not found.' >&2\nexit 5\n")
    (tmp_path / "systemctl").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(service.ServiceError, match="Unit not found"):
        systemd.SystemdService().start()
