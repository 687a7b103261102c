"""Every way in which a command can end: an exit code, and no traceback."""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from llmsuggestd.cli import edge, terminal
from llmsuggestd.daemon.calls import Calls
from llmsuggestd.errors import ExitCode, LlmsuggestdError, ModelError
from llmsuggestd.paths import Paths, is_text

PACKAGE = Path(edge.__file__).parents[1]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LLMSUGGESTD_HOME", str(tmp_path))
    return tmp_path


def raising(error: BaseException) -> object:
    raise error


@pytest.mark.parametrize(
    ("error", "code", "lines"),
    [
        (ModelError("no model", "get one"), 5, ["llmsuggestd: no model", "  → get one"]),
        (LlmsuggestdError("no"), 1, ["llmsuggestd: no"]),
        (click.UsageError("No such\noption"), 2, ["llmsuggestd: No such option"]),
        (click.exceptions.Exit(3), 3, []),
        (KeyboardInterrupt(), 130, ["llmsuggestd: interrupted"]),
        (click.Abort(), 130, ["llmsuggestd: interrupted"]),
        (BrokenPipeError(), 1, []),
    ],
)
def test_expected_errors(
    error: BaseException, code: int, lines: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert edge.run(lambda: raising(error)) == code
    assert capsys.readouterr().err.splitlines() == lines


def test_the_return_value_is_the_exit_code() -> None:
    assert edge.run(lambda: None) == 0
    assert edge.run(lambda: 7) == 7


@pytest.mark.parametrize(
    "error",
    [KeyError("x"), MemoryError(), RecursionError("deep"), OSError(5, "Input/output error")],
)
def test_an_unexpected_error_is_one_line_with_its_traceback_in_the_log(
    error: Exception, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert edge.run(lambda: raising(error)) == ExitCode.FAULT
    log = home / "state" / "daemon.log"
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith(f"llmsuggestd: a fault in llmsuggestd: {type(error).__name__}")
    assert not first.endswith(":")
    assert second == f"  → please report it, with the end of {log}"
    assert "Traceback" in log.read_text()
    assert type(error).__name__ in log.read_text()
    assert log.stat().st_mode & 0o077 == 0


def test_without_a_log_the_line_names_the_place_in_the_code(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "state").write_text("in the way")
    assert edge.run(lambda: raising(KeyError("x"))) == 70
    assert "please report it: cli/edge.py, line " in capsys.readouterr().err


def test_a_message_of_many_lines_becomes_one(capsys: pytest.CaptureFixture[str]) -> None:
    edge.run(lambda: raising(ValueError("one\ntwo " + "long " * 100)))
    first, _ = capsys.readouterr().err.splitlines()
    assert "one two long" in first
    assert len(first) < 300


def test_output_that_cannot_be_written_is_an_output_error() -> None:
    reader, writer = os.pipe()
    stream = edge._Output(writer, "w", closefd=False)
    os.close(writer)
    with pytest.raises(edge.OutputError, match="cannot be written: Bad file descriptor"):
        stream.write(b"x")
    os.close(reader)


def test_an_error_has_its_exit_code_even_if_it_cannot_be_printed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A full standard error does not change the exit code."""

    def write(_: str) -> int:
        raise edge.OutputError(OSError(28, "No space left on device"))

    monkeypatch.setattr(sys.stderr, "write", write)
    assert edge.run(lambda: raising(ModelError("no model"))) == 5


@pytest.mark.parametrize(
    ("variables", "colour"),
    [
        ({}, None),
        ({"TERM": "xterm-256color"}, None),
        ({"NO_COLOR": ""}, None),
        ({"NO_COLOR": "1"}, False),
        ({"NO_COLOR": "0"}, False),
        ({"TERM": "dumb"}, False),
    ],
)
def test_when_colours_are_used(
    variables: dict[str, str], colour: bool | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.delenv("TERM", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert terminal.colour() is colour
    assert terminal.console()._color_system is None or colour is None


def test_a_folder_whose_name_is_not_utf_8_is_refused() -> None:
    assert is_text("é ⊢")
    assert not is_text("h\udce9")
    with pytest.raises(LlmsuggestdError, match="is not UTF-8"):
        Paths(*[Path("/tmp/h\udce9")] * 5)


def asserts() -> Iterator[tuple[str, ast.Assert]]:
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Assert):
                yield f"{file.relative_to(PACKAGE)}:{node.lineno}", node


def test_asserts_only_narrow_types() -> None:
    """`python -O` and PYTHONOPTIMIZE remove asserts, so no check of a value may be one."""
    checks = [
        place
        for place, node in asserts()
        if not ast.unparse(node.test).endswith("is not None")
        and not ast.unparse(node.test).startswith("isinstance(")
    ]
    assert checks == []


def test_a_call_without_a_docstring_is_declared() -> None:
    """`python -OO` removes all docstrings."""
    calls = Calls("llmsuggestd")

    async def handler(request: object, body: object) -> object:
        raise NotImplementedError

    calls.declare("GET", "/")(handler)  # type: ignore[arg-type]
    assert calls.calls[0].summary == "handler"


def test_an_error_of_a_file_names_it(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    error = OSError(28, "No space left on device", "/somewhere/file")
    assert edge.run(lambda: raising(error)) == 1
    first, _ = capsys.readouterr().err.splitlines()
    assert first == "llmsuggestd: cannot use /somewhere/file: No space left on device"
    assert not (home / "state").exists(), "an error of the user's file must not be logged"
