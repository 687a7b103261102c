"""The files of service managers, and the commands that the managers get."""

from __future__ import annotations

import itertools
import os
import plistlib
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from llmsuggestd import environment, service
from llmsuggestd.service import launchd, systemd, windows
from tests.support import programs


@pytest.fixture(autouse=True)
def own_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep the tests away from the real home."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.delenv("LLMSUGGESTD_HOME", raising=False)
    monkeypatch.setattr(systemd, "PACKAGED", tmp_path / "usr" / "llmsuggestd.service")


def test_a_portable_installation_registers_no_service(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LLMSUGGESTD_HOME", str(tmp_path))
    manager, reason = service.detect()
    assert manager is None
    assert "LLMSUGGESTD_HOME" in reason


@pytest.mark.parametrize(
    ("python", "quoted"),
    [
        ("/opt/with space/100%/$bin/python", '"/opt/with space/100%%/$$bin/python"'),
        ("/home/o'brien/python", '"/home/o\'brien/python"'),
        ("/opt/a;b/python", '"/opt/a;b/python"'),
        ("/opt/llmsuggestd-0.1/bin/python3.11", "/opt/llmsuggestd-0.1/bin/python3.11"),
    ],
)
def test_the_unit_runs_this_installation(
    python: str, quoted: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "executable", python)
    unit = systemd.SystemdService()
    assert unit.file == tmp_path / "config" / "systemd" / "user" / "llmsuggestd.service"
    content = unit.content().decode()
    assert f"ExecStart={quoted} -E -P -X utf8 -m llmsuggestd serve --log-file\n" in content
    assert "@COMMAND@" not in content


def test_each_line_of_the_unit_is_explained(tmp_path: Path) -> None:
    """Each setting follows a comment, or a line that shares its comment."""
    lines = systemd.SystemdService().content().decode().splitlines()
    own_words = {"Description", "ExecStart", "StartLimitBurst"}
    for before, line in itertools.pairwise(lines):
        if "=" in line and not line.startswith("#") and line.partition("=")[0] not in own_words:
            assert before.startswith("#"), line


@programs.needs("systemd-analyze")
def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    file = tmp_path / "llmsuggestd.service"
    file.write_bytes(systemd.SystemdService().content())
    result = subprocess.run(
        ["systemd-analyze", "--user", "verify", str(file)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert "llmsuggestd.service:" not in result.stderr, result.stderr


def test_systemd_is_used_only_if_it_answers(
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
    """A stand-in for the managers' programs that records its arguments.

    The service gets no variable from the shell in which the tests run.
    """
    for name in environment.for_service():
        monkeypatch.delenv(name)
    record = tmp_path / "record"
    for name in ("systemctl", "launchctl", "schtasks"):
        (tmp_path / name).write_text(f'#!/bin/sh\necho {name} "$@" >> {record}\n')
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    return record


def test_systemd_gets_commands_in_the_right_order(recorded: Path) -> None:
    unit = systemd.SystemdService()
    assert not unit.is_registered()
    unit.register()
    assert unit.file.read_bytes() == unit.content()
    assert unit.is_registered()
    assert unit.is_current()
    unit.start()
    unit.stop()
    unit.unregister()
    assert not unit.file.exists()
    assert recorded.read_text().splitlines() == [
        "systemctl --user daemon-reload",
        "systemctl --user enable llmsuggestd.service",
        "systemctl --user reset-failed llmsuggestd.service",
        "systemctl --user start llmsuggestd.service",
        "systemctl --user stop llmsuggestd.service",
        "systemctl --user disable --now llmsuggestd.service",
        "systemctl --user daemon-reload",
        "systemctl --user reset-failed llmsuggestd.service",
    ]


def test_a_packaged_unit_is_only_enabled(recorded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = systemd.SystemdService()
    own.register()  # by an earlier installation, for example with pipx
    systemd.PACKAGED.parent.mkdir()
    systemd.PACKAGED.write_bytes(own.content())
    unit = systemd.SystemdService()
    assert unit.file == systemd.PACKAGED
    assert unit.is_registered()
    assert not unit.is_current()  # the user's own unit hides it
    unit.register()
    assert unit.is_current()
    assert not own.file.exists()
    assert own.file not in unit.files()
    unit.unregister()
    assert systemd.PACKAGED.exists()  # only the package removes it


def test_a_packaged_unit_of_another_installation_is_not_ours(recorded: Path) -> None:
    systemd.PACKAGED.parent.mkdir()
    systemd.PACKAGED.write_text("[Service]\nExecStart=/opt/llmsuggestd/bin/python\n")
    unit = systemd.SystemdService()
    assert unit.file != systemd.PACKAGED
    assert not unit.is_registered()


def test_systemd_is_found_without_the_variables_of_a_session(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(systemd, "session_directory", lambda: Path("/run/user/7"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/of-another")
    (tmp_path / "systemctl").write_text('#!/bin/sh\necho "$XDG_RUNTIME_DIR" > "$HOME/runtime"\n')
    (tmp_path / "systemctl").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert systemd.SystemdService.detect()[0] is not None
    assert (tmp_path / "runtime").read_text() == "/run/user/7\n"


def test_the_launchd_agent_runs_this_installation(recorded: Path) -> None:
    agent = launchd.LaunchdService()
    agent.register()
    content = plistlib.loads(agent.file.read_bytes())
    assert content["Label"] == agent.file.stem == launchd.LABEL
    assert content["ProgramArguments"] == service.command_line()
    assert content["RunAtLoad"] is True
    assert content["KeepAlive"] == {"SuccessfulExit": False}
    assert content["Umask"] == 0o077
    assert agent.is_current()
    agent.start()
    agent.unregister()
    assert not agent.file.exists()
    assert [line.split()[1] for line in recorded.read_text().splitlines()] == [
        "bootout",  # the agent of an older version
        "bootout",
        "bootstrap",
        "bootout",
    ]


def test_the_windows_task_runs_this_installation(
    recorded: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "R&D").mkdir()
    for name in ("python.exe", "pythonw.exe"):
        (tmp_path / "R&D" / name).touch()
    monkeypatch.setattr(sys, "executable", str(tmp_path / "R&D" / "python.exe"))
    monkeypatch.setenv("USERDOMAIN", "HERE")
    monkeypatch.setenv("USERNAME", "me")
    monkeypatch.setenv("LOGNAME", "me")
    task = windows.WindowsService()
    task.register()
    assert task.is_registered()
    assert task.is_current()
    assert task.file.read_bytes()[:2] in (b"\xff\xfe", b"\xfe\xff")  # UTF-16, with its mark
    root = ElementTree.fromstring(task.file.read_bytes())
    space = {"t": "http://schemas.microsoft.com/windows/2004/02/mit/task"}
    values = {
        path: root.findtext(f".//t:{path}", namespaces=space)
        for path in ("Command", "Arguments", "LogonType", "RunLevel", "ExecutionTimeLimit")
    }
    assert values == {
        "Command": str(tmp_path / "R&D" / "pythonw.exe"),
        "Arguments": "-E -P -X utf8 -m llmsuggestd serve --log-file",
        "LogonType": "InteractiveToken",
        "RunLevel": "LeastPrivilege",
        "ExecutionTimeLimit": "PT0S",
    }
    assert {e.text for e in root.iterfind(".//t:UserId", space)} == {"HERE\\me"}
    task.start()
    task.stop()
    file = task.file
    task.unregister()
    assert not file.exists()
    assert recorded.read_text().splitlines() == [
        f"schtasks /Create /TN llmsuggestd /XML {file} /F",
        "schtasks /Run /TN llmsuggestd",
        "schtasks /End /TN llmsuggestd",
        "schtasks /End /TN llmsuggestd",
        "schtasks /Delete /TN llmsuggestd /F",
    ]


def manager_that_knows(folder: Path, **known: str) -> None:
    """Add a systemctl whose manager has these variables, and reports no search path."""
    lines = "\n".join(f"{name}={value}" for name, value in known.items())
    (folder / "systemctl").write_text(
        f"#!/bin/sh\ncase $2 in show-environment) cat <<'END'\n{lines}\nEND\nesac\n"
    )
    (folder / "systemctl").chmod(0o755)


@pytest.mark.parametrize(
    ("known", "unit"),
    [
        ({}, ".config"),
        ({"HOME": "{home}"}, ".config"),
        ({"XDG_CONFIG_HOME": "$'{home}/a b\\'\\\\c'"}, "a b'\\c"),
    ],
)
def test_the_unit_lies_where_its_manager_looks(
    known: dict[str, str], unit: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The manager does not see the shell's $XDG_CONFIG_HOME."""
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    manager_that_knows(tmp_path, **{n: v.format(home=tmp_path) for n, v in known.items()})
    found, _ = service.detect()
    assert found is not None
    assert found.file == tmp_path / unit / "systemd" / "user" / "llmsuggestd.service"


def test_the_manager_reports_its_search_path(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its variables may have changed since it started."""
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    paths = f'{tmp_path}/systemd/user.control "{tmp_path}/a b/systemd/user" /etc/systemd/user'
    (tmp_path / "systemctl").write_text(
        f"#!/bin/sh\ncase $2 in show-environment) echo XDG_CONFIG_HOME={tmp_path}/new;;\n"
        f"show) echo '{paths}';; esac\n"
    )
    (tmp_path / "systemctl").chmod(0o755)
    found, _ = service.detect()
    assert found is not None
    assert found.file == tmp_path / "a b" / "systemd" / "user" / "llmsuggestd.service"


def test_the_manager_of_another_home_is_not_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """After `su` without `-`, the unit would run with another account's files."""
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    manager_that_knows(tmp_path, HOME="/home/another")
    found, reason = service.detect()
    assert found is None
    assert "/home/another" in reason
    (tmp_path / "link").symlink_to(tmp_path)
    manager_that_knows(tmp_path, HOME=str(tmp_path / "link"))
    assert service.detect()[0] is not None


def test_a_service_has_the_folders_of_the_shell_that_registered_it(
    recorded: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in environment.for_service():
        monkeypatch.delenv(name)
    assert b"Environment=" not in systemd.SystemdService().content()
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / 'a "b" 100% $c \\d'))
    monkeypatch.setenv("XDG_STATE_HOME", "relative, and so none")
    monkeypatch.setenv("LLMSUGGESTD_SOCKET", "~/x.sock")
    monkeypatch.setenv("LLMSUGGESTD_THREADS", "7")
    monkeypatch.setenv("HF_TOKEN", "secret")
    wanted = {
        "LLMSUGGESTD_SOCKET": str(tmp_path / "x.sock"),
        "XDG_DATA_HOME": str(tmp_path / 'a "b" 100% $c \\d'),
    }
    assert service.variables() == wanted
    # a folder is set if the manager's differs from the shell's
    assert service.variables({"XDG_CACHE_HOME": "/x", "HOME": "/y"}) == wanted | {
        "XDG_CACHE_HOME": str(tmp_path / ".cache")
    }
    managers: list[service.Service] = [systemd.SystemdService(), launchd.LaunchdService()]
    for manager in managers:
        manager.register()
        assert manager.carried() == wanted
        assert manager.is_current()
        assert service.other_places(manager) == {}
    monkeypatch.delenv("XDG_DATA_HOME")
    for manager in managers:
        assert service.other_places(manager) == {"XDG_DATA_HOME": wanted["XDG_DATA_HOME"]}
    task = ElementTree.fromstring(windows.WindowsService().content()).findtext(".//{*}Arguments")
    assert task is not None
    assert task.endswith(f" --env LLMSUGGESTD_SOCKET={tmp_path / 'x.sock'}")


def test_a_process_that_the_desktop_starts_has_the_folders_of_the_service(
    recorded: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", "/shell's")
    monkeypatch.setenv("XDG_DATA_HOME", "/shell's")
    found, _ = service.detect()
    assert found is not None
    found.register()
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("XDG_CONFIG_HOME", "/desktop's")
    service.adopt_places()
    assert os.environ["XDG_DATA_HOME"] == "/shell's"
    assert os.environ["XDG_CONFIG_HOME"] == "/desktop's"
    monkeypatch.delenv("XDG_DATA_HOME")


@programs.needs("systemd-analyze")
def test_systemd_reads_the_variables_correctly(tmp_path: Path) -> None:
    strange = {"XDG_DATA_HOME": '/a "b" 100% $c \\d é', "LLMSUGGESTD_SOCKET": "/x"}
    file = tmp_path / "llmsuggestd.service"
    file.write_bytes(systemd.SystemdService(tmp_path, strange).content())
    result = subprocess.run(
        ["systemd-analyze", "--user", "verify", str(file)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert "llmsuggestd.service:" not in result.stderr, result.stderr


def test_a_unit_that_is_not_loaded_counts_as_stopped(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    (tmp_path / "systemctl").write_text("#!/bin/sh\necho 'Unit not loaded.' >&2; exit 5\n")
    (tmp_path / "systemctl").chmod(0o755)
    systemd.SystemdService().stop()
    (tmp_path / "systemctl").write_text("#!/bin/sh\necho 'Access denied.' >&2; exit 4\n")
    with pytest.raises(service.ServiceError, match="Access denied"):
        systemd.SystemdService().stop()


def test_a_managers_message_is_passed_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "systemctl").write_text(
        "#!/bin/sh\n"
        'case "$*" in *show*) echo 4; exit 0;; esac\n'
        "echo 'Job failed.' >&2; echo 'See the journal.' >&2; exit 5\n"
    )
    (tmp_path / "systemctl").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(service.ServiceError, match=r"Job failed\.") as error:
        systemd.SystemdService().start()
    assert error.value.status == 4
