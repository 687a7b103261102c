"""Messages name only commands and options that exist, and no file of a checkout."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from llmsuggestd import commands
from llmsuggestd.cli import cli

ROOT = Path(__file__).parents[2]
SOURCES = [
    file
    for file in [*(ROOT / "llmsuggestd").rglob("*.py"), *(ROOT / "lean").rglob("*.lean")]
    if not file.is_relative_to(ROOT / "llmsuggestd/convert/starter")
]


def texts(file: Path) -> Iterator[str]:
    """The texts of a source file that a user may see, with `…` for inserted values."""
    source = file.read_text(encoding="utf-8")
    if file.suffix == ".lean":
        yield from re.findall(r'"(?:[^"\\]|\\.)*"', source, re.DOTALL)
        return
    nodes = list(ast.walk(ast.parse(source)))
    formatted = [node for node in nodes if isinstance(node, ast.JoinedStr)]
    shown = help_texts(nodes) if file.parent.name == "cli" else set()
    comments = (node.value for node in nodes if isinstance(node, ast.Expr))
    hidden = {id(part) for text in formatted for part in text.values}
    hidden |= {id(node) for node in comments if id(node) not in shown}
    for text in formatted:
        yield "".join(
            str(part.value) if isinstance(part, ast.Constant) else "…" for part in text.values
        )
    for node in nodes:
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in hidden
        ):
            yield node.value


def help_texts(nodes: list[ast.AST]) -> set[int]:
    """The ids of the docstrings that `--help` shows: those of functions with a decorator."""
    return {
        id(node.body[0].value)
        for node in nodes
        if isinstance(node, ast.FunctionDef) and node.decorator_list
        if isinstance(node.body[0], ast.Expr)
    }


def named_commands(text: str) -> list[str]:
    """Our commands in a text, without the program's name."""
    return re.findall(r"`llmsuggestd( [^`]*)?`", text)


def problem(words: list[str]) -> str:
    """The problem with the words of one of our command lines; empty if there is none."""
    command: click.Command = cli
    context = click.Context(cli)
    for word in words:
        if isinstance(command, click.Group):
            found = command.get_command(context, word)
            if found is None:
                return f"no command {word!r}"
            command = found
        elif word.startswith("-") and not any(word in param.opts for param in command.params):
            return f"no option {word!r}"
    return ""


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: str(file.relative_to(ROOT)))
def test_messages_name_only_what_every_installation_has(file: Path) -> None:
    for text in texts(file):
        assert not re.search(r"\bdocs/|\.md\b", text.removeprefix("README.md")), text
        assert not re.search(r"(?<!-m )\bpip install", text), f"name the Python of pip: {text}"
        for command in named_commands(text):
            assert not problem(command.split()), f"{text}: {problem(command.split())}"


def test_wrong_commands_are_detected() -> None:
    assert named_commands("see `llmsuggestd logs -f`, or `llmsuggestd`") == [" logs -f", ""]
    assert problem(["logs", "-f"]) == ""
    assert problem(["models", "fetch"]) == "no command 'fetch'"
    assert problem(["install", "--prefix"]) == "no option '--prefix'"
    everything = " ".join(text for file in SOURCES for text in texts(file))
    assert len(named_commands(everything)) > 40


@pytest.mark.parametrize(
    "file", sorted((ROOT / "llmsuggestd/cli").glob("*.py")), ids=lambda file: file.stem
)
def test_messages_with_commands_are_printed_with_their_path(file: Path) -> None:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "click.echo":
            assert "`llmsuggestd" not in ast.unparse(node), "print it with `say`"


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The program of an installation in a folder that is not on the PATH."""
    folder = tmp_path / "my venv" / "bin"
    folder.mkdir(parents=True)
    for name in ("python", "llmsuggestd"):
        (folder / name).touch(mode=0o755)
    monkeypatch.setattr(sys, "executable", str(folder / "python"))
    monkeypatch.setattr(sys, "argv", ["elsewhere"])
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    commands.program.cache_clear()
    yield folder / "llmsuggestd"
    commands.program.cache_clear()


@pytest.mark.skipif(sys.platform == "win32", reason="another shell quotes otherwise")
def test_a_command_off_the_path_is_shown_with_its_path(script: Path) -> None:
    hint = "start it with `llmsuggestd start`, or see `llmsuggestd`; llmsuggestd is no command here"
    assert commands.runnable(hint) == hint.replace("`llmsuggestd", f"`'{script}'")


def test_a_command_on_the_path_is_shown_by_its_name(
    script: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_path = tmp_path / "on path"
    on_path.mkdir()
    monkeypatch.setenv("PATH", str(on_path))
    (on_path / "llmsuggestd").symlink_to(script)  # as pipx and uv do
    assert commands.program() == "llmsuggestd"


@pytest.mark.skipif(sys.platform == "win32", reason="another shell quotes otherwise")
def test_another_installation_on_the_path_is_not_meant(
    script: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "llmsuggestd").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert commands.program() == f"'{script}'"
    script.unlink()
    assert commands.program.__wrapped__() == f"'{script.with_name('python')}' -P -m llmsuggestd"
