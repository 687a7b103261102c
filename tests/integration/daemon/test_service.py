"""Starting and stopping through a stand-in for a service manager."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Collection
from pathlib import Path

import pytest

from llmsuggestd import control, service
from llmsuggestd.errors import ExitCode, LlmsuggestdError
from llmsuggestd.service import ServiceError
from tests.conftest import Home


class Manager:
    """A service manager that runs a service's command line, and reports its exit code."""

    manager = "a stand-in"
    file = Path("/nonexistent")

    def __init__(self, home: Home) -> None:
        self._env = home.env
        self._client_file = home.paths.client_file
        self._process: subprocess.Popen[bytes] | None = None

    def content(self) -> bytes:
        return b""

    def carried(self) -> dict[str, str]:
        return {}

    def is_registered(self) -> bool:
        return True

    def is_current(self) -> bool:
        return True

    def files(self) -> list[Path]:
        return []

    def register(self, before: Collection[Path] = ()) -> None:
        """Nothing is kept."""

    def unregister(self) -> None:
        """Nothing is kept."""

    def start(self) -> None:
        """Start the service, and wait until the daemon answers, as systemd waits for `READY=1`."""
        self._process = subprocess.Popen(
            service.command_line(), env=self._env, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        while (status := self._process.poll()) is None:
            if self._client_file.exists():
                return
            time.sleep(0.05)
        raise ServiceError("the job failed, see elsewhere", "", status)

    def stop(self) -> None:
        """Send SIGTERM, and soon after that SIGKILL."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(timeout=4)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@pytest.fixture
def manager(home: Home, monkeypatch: pytest.MonkeyPatch) -> Manager:
    monkeypatch.delenv("LLMSUGGESTD_SOCKET", raising=False)
    home.install_starter()
    return Manager(home)


def test_a_service_is_started_logs_to_the_file_and_is_stopped(home: Home, manager: Manager) -> None:
    status = control.start(home.paths, manager)
    assert status["state"] == "ready"
    assert "serving on" in home.run("logs").stdout
    assert control.stop(home.paths, manager) == (status["pid"], False)
    assert control.stop(home.paths, manager) == (None, False)


def test_a_service_that_cannot_start_says_why(home: Home, manager: Manager) -> None:
    home.paths.config.mkdir()
    home.paths.config_file.write_text("port = 'many'\n")
    with pytest.raises(LlmsuggestdError, match="`port`") as error:
        control.start(home.paths, manager)
    assert error.value.exit_code == ExitCode.CONFIG
    assert "leave it out for the default" in error.value.hint


def test_a_service_that_hangs_is_ended(home: Home, manager: Manager) -> None:
    pid = control.start(home.paths, manager)["pid"]
    os.kill(pid, signal.SIGSTOP)
    assert control.stop(home.paths, manager) == (pid, True)
    assert not home.paths.client_file.exists()
    assert control.stop(home.paths, manager) == (None, False)
