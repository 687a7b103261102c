"""The command line in unusual environments: other locales, closed and full streams, a current
folder that is gone, terminals without colours."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from llmsuggestd.errors import ExitCode
from tests.conftest import COMMAND, Home

GOAL = "p q : Prop\nh : p ∧ q\n⊢ q ∧ p"

# In each of these, Python uses an encoding that lacks `⊢`. (An ISO-8859-1 locale is a third case of
# this kind, but few systems have it installed.)
LOCALES: dict[str, dict[str, Any]] = {
    "ASCII": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "code page": {"PYTHONIOENCODING": "cp1252"},
}


def shell(home: Home, script: str, *arguments: str, **env: str) -> tuple[int, str, str]:
    """Run a script in which `$LLMS` is the command. Returns the exit code, output and errors."""
    result = subprocess.run(
        ["sh", "-c", script, "sh", *arguments],
        capture_output=True, timeout=60, check=False,
        env=home.env | {"LLMS": f"{COMMAND[0]} {' '.join(COMMAND[1:])}"} | env,
    )  # fmt: skip
    return result.returncode, result.stdout.decode(), result.stderr.decode()


@pytest.mark.parametrize("locale", LOCALES)
def test_text_is_utf_8_in_any_locale(served: Home, locale: str) -> None:
    expected = served.run("suggest", GOAL)
    assert "⟨h.2, h.1⟩" in expected.stdout
    for arguments, input_ in ((("suggest", GOAL), None), (("suggest", "-"), GOAL)):
        result = served.run(*arguments, input_=input_, **LOCALES[locale])
        assert (result.returncode, result.stdout) == (0, expected.stdout), result.stderr


@pytest.mark.parametrize("locale", LOCALES)
def test_errors_and_paths_are_utf_8_in_any_locale(
    served: Home, tmp_path: Path, locale: str
) -> None:
    result = served.run("models", "use", "nope", **LOCALES[locale])
    assert result.returncode == 5
    assert "→" in result.stderr
    root = tmp_path / "häuser"
    result = served.run("install", "--dry-run", **LOCALES[locale] | {"LLMSUGGESTD_HOME": str(root)})
    assert result.returncode == 0, result.stderr
    assert str(root / "config") in result.stdout


def test_a_file_whose_name_is_not_utf_8_is_still_named(served: Home, tmp_path: Path) -> None:
    file = tmp_path / os.fsdecode(b"model\xe9.gguf")
    file.write_bytes(b"no model")
    result = served.run("models", "import", str(file))
    assert result.returncode == 6
    assert "model?.gguf" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("command", ["install", "start", "doctor"])
def test_a_home_whose_name_is_not_utf_8_is_refused(
    home: Home, tmp_path: Path, command: str
) -> None:
    root = tmp_path / os.fsdecode(b"h\xe9")
    code, _, errors = shell(home, f"$LLMS {command}", LLMSUGGESTD_HOME=str(root))
    assert code == 4
    assert errors.startswith("llmsuggestd: the name of the folder")
    assert len(errors.splitlines()) == 2
    assert not root.exists()


def test_closed_standard_streams(served: Home) -> None:
    code, output, errors = shell(served, "$LLMS suggest - <&-")
    assert (code, output) == (2, "")
    assert errors.startswith("llmsuggestd: standard input is empty")
    assert shell(served, "$LLMS status >&-")[::2] == (0, "")
    assert shell(served, "$LLMS models use nope 2>&-") == (5, "", "")
    code, output, _ = shell(served, '$LLMS suggest "$1" <&- 2>&-', GOAL)
    assert (code, len(output.splitlines())) == (0, 5)
    assert shell(served, "$LLMS status <&- >&- 2>&-")[0] == 0


def test_a_daemon_is_started_without_standard_streams(home: Home) -> None:
    home.install_starter()
    assert shell(home, "$LLMS start <&- >&- 2>&-")[0] == 0
    assert home.client.request("GET", "/v1/status")["state"] == "ready"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has this full device")
@pytest.mark.parametrize("variables", [{}, {"PYTHONUNBUFFERED": "1"}])
@pytest.mark.parametrize("command", ["models catalogue", "logs", "--help"])
def test_full_output(served: Home, command: str, variables: dict[str, str]) -> None:
    served.paths.log_file.write_text("a word\n" * 10_000)
    code, _, errors = shell(served, f"$LLMS {command} >/dev/full", **variables)
    assert code == 1
    assert errors.splitlines() == [
        "llmsuggestd: the output cannot be written: No space left on device",
        "  → make room, or write it elsewhere",
    ]
    assert shell(served, "$LLMS models use nope 2>/dev/full", **variables) == (5, "", "")
    assert shell(served, f"$LLMS {command} >/dev/full 2>&1", **variables) == (1, "", "")


def test_a_reader_that_ends_early_is_no_error(served: Home) -> None:
    served.paths.log_file.write_text("a word\n" * 100_000)
    assert shell(served, "$LLMS logs -n 100000 | head -n 1") == (0, "a word\n", "")


def test_a_current_folder_that_is_gone(served: Home, tmp_path: Path) -> None:
    gone = 'mkdir "$1"; cd "$1"; rmdir "$1"; '
    folder = str(tmp_path / "gone")
    code, _, errors = shell(served, gone + "$LLMS lean add", folder)
    assert (code, errors.splitlines()) == (
        2,
        ["llmsuggestd: the current folder is gone", "  → change to one that exists"],
    )
    for command in ("status", "suggest '⊢ 2 = 2'", "doctor", "models list", "lean path"):
        code, output, errors = shell(served, gone + f"$LLMS {command}", folder)
        assert (code, errors) == (0, ""), command
        assert output


def on_a_terminal(home: Home, *arguments: str, **env: str) -> bytes:
    """The output of a command on a terminal."""
    parent, child = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, *arguments], stdin=child, stdout=child, stderr=child, env=home.env | env
    )
    os.close(child)
    output = b""
    while True:
        try:
            block = os.read(parent, 65536)
        except OSError:  # on Linux, the other end is closed
            break
        if not block:
            break
        output += block
    os.close(parent)
    process.wait(timeout=30)
    return output


@pytest.mark.parametrize("command", ["doctor", "models list", "models catalogue"])
def test_colours_are_printed_only_on_terminals_that_allow_them(served: Home, command: str) -> None:
    plain = {"NO_COLOR": "", "TERM": "xterm"}
    assert b"\x1b[" in on_a_terminal(served, *command.split(), **plain)
    for variables in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        assert b"\x1b" not in on_a_terminal(served, *command.split(), **plain | variables)


@pytest.mark.parametrize("level", ["1", "2"])
def test_without_asserts_and_docstrings(home: Home, level: str) -> None:
    home.env["PYTHONOPTIMIZE"] = level
    home.install_starter()
    help_ = home.run("suggest", "--help")
    assert "Print suggestions for GOAL, best first" in help_.stdout
    assert home.run("start").returncode == 0
    assert "⟨h.2, h.1⟩" in home.run("suggest", GOAL).stdout
    assert home.run("doctor").returncode == 0
    assert home.run("stop").returncode == 0


def test_serve_works_under_python_without_docstrings(home: Home) -> None:
    home.install_starter()
    process = subprocess.Popen(
        [sys.executable, "-OO", "-P", "-m", "llmsuggestd", "serve"],
        stderr=subprocess.PIPE, env=home.env, text=True,
    )  # fmt: skip
    home.processes.append(process)
    home.wait_until(lambda status: status["state"] == "ready", process)
    code, answer = home.curl("/v1/suggest", body={"goal": GOAL})
    assert (code, len(answer["suggestions"])) == (200, 5)
    assert home.curl("/openapi.json")[0] == 200


@pytest.mark.parametrize(
    "command",
    [["logs", "-n", "9" * 20], ["serve", "--env", "=x"], ["serve", "--env", "NAME"],
     ["suggest", "⊢ 1 = 1", "--mode", "sample", "--temperature", "nan"],
     ["suggest", "⊢ 1 = 1", "--mode", "sample", "--seed", "9" * 20], ["tray", "--wait", "nan"]],
    ids=lambda command: command[-2],
)  # fmt: skip
def test_a_value_that_no_command_can_use_is_a_usage_error(home: Home, command: list[str]) -> None:
    result = home.run(*command)
    assert result.returncode == ExitCode.USAGE
    assert result.stderr.startswith("llmsuggestd: ")
    assert command[-1] in result.stderr


@pytest.mark.parametrize("wait", [0.3, 0.6])
def test_ctrl_c_prints_one_line_and_has_an_exit_code(home: Home, wait: float) -> None:
    home.paths.log_file.parent.mkdir(parents=True)
    home.paths.log_file.write_text("a word\n")
    process = subprocess.Popen(
        [*COMMAND, "logs", "-f"], env=home.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"a word\n"
    time.sleep(wait)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert errors.strip() == b"llmsuggestd: interrupted"
