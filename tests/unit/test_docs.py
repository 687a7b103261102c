"""The documents: their links lead to existing targets, and their lists match the code."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from docs import generate
from llmsuggestd import doctor, environment
from llmsuggestd.client import Refused
from llmsuggestd.config import Config
from llmsuggestd.daemon.app import CALLS
from llmsuggestd.errors import ExitCode
from llmsuggestd.version import __version__
from tests.unit.test_messages import named_commands, problem

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
DOCUMENTS = [
    path
    for path in [ROOT / "README.md", ROOT / "CHANGELOG.md", *ROOT.glob("[!.]*/**/*.md")]
    if "node_modules" not in path.parts
]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_relative_links_lead_somewhere(document: Path) -> None:
    """Each relative link leads to a file, and to a heading in it if the link names one."""
    for target, anchor in re.findall(
        r"\]\(([^)#\s]*)(?:#([^)\s]+))?\)", document.read_text(encoding="utf-8")
    ):
        if "://" in target:
            continue
        file = document.parent / target if target else document
        assert file.exists(), target
        if anchor:
            assert anchor in anchors(file), f"{target}#{anchor}"


def anchors(document: Path) -> set[str]:
    """The names that headings get, as GitHub and MyST make them."""
    text = re.sub(r"^```.*?^```", "", document.read_text(encoding="utf-8"), flags=re.M | re.S)
    headings = re.findall(r"^#+ (.*)", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_citation_and_the_formula_are_of_this_version() -> None:
    lines = (ROOT / "CITATION.cff").read_text(encoding="utf-8").splitlines()
    assert f"version: {__version__}" in lines
    formula = (ROOT / "packaging/macos/llmsuggestd.rb").read_text(encoding="utf-8")
    assert f'version "{__version__}"' in formula


def test_documents_that_the_code_names_exist() -> None:
    sources = [
        *(ROOT / "llmsuggestd").rglob("*.py"),
        *(ROOT / "convert").rglob("*.py"),
        *(ROOT / "lean").rglob("*.lean"),
    ]
    named = {
        name
        for source in sources
        for name in re.findall(r"docs/[\w/-]+\.md", source.read_text(encoding="utf-8"))
    }
    assert named
    assert {name for name in named if not (ROOT / name).exists()} == set()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_commands_that_are_named_exist(document: Path) -> None:
    """tests/integration/test_documented_commands.py also runs the commands that can be run."""
    text = document.read_text(encoding="utf-8")
    shell = "".join(re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))
    lines = [line for line in re.split(r"\n| && | +# ", shell) if line.startswith("llmsuggestd ")]
    for command in named_commands(text) + [line.removeprefix("llmsuggestd") for line in lines]:
        words = command.split()
        if not words or not words[0].isupper():  # COMMAND means any command
            assert not problem(words), f"llmsuggestd{command}: {problem(words)}"


def test_every_page_is_in_the_site() -> None:
    index = (DOCS / "index.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"^[\w/-]+$", index, re.MULTILINE))
    pages = {str(page.relative_to(DOCS).with_suffix("")) for page in DOCS.rglob("*.md")}
    assert listed == pages - {"index"}


# --- generated parts -----------------------------------------------------------------------------


def test_generated_parts_are_current() -> None:
    for page in DOCS.rglob("*.md"):
        text = page.read_text(encoding="utf-8")
        assert generate.renewed(text) == text, f"`make generated` renews {page}"


def test_every_part_is_used() -> None:
    """Each generated part belongs to a page, and the manual page to the Debian package."""
    pages = "".join(page.read_text(encoding="utf-8") for page in DOCS.rglob("*.md"))
    named = re.findall(r"<!-- generated: ([\w-]+) -->", pages)
    assert sorted([*named, "man"]) == sorted(generate.PARTS)


def test_generated_parts_list_everything_in_the_code() -> None:
    settings = generate.settings()
    assert [name for name in Config.__struct_fields__ if f"| `{name}` |" not in settings] == []
    assert '| `model` | `LLMSUGGESTD_MODEL` | `"starter"` | the id of ' in settings
    codes = generate.exit_codes()
    assert [code for code in ExitCode if f"| {code.value} | {code.name} | " not in codes] == []
    api = generate.http_api()
    assert [c for c in CALLS if f"### {c.method} {c.path}\n\n{c.summary}\n" not in api] == []
    assert "| `n` | integer, 1 to 32 | `5` | " in api
    variables = generate.variables()
    names = [name for row in environment.TABLE for name in row.names.split()]
    assert [name for name in names if f"`{name}`" not in variables] == []


def test_every_command_and_option_is_listed() -> None:
    for text, end in ((generate.commands(), "\n###"), (generate.man().replace("\\-", "-"), "\n.S")):
        for context in generate.leaves():
            assert generate.usage(context) in text
            section = text.partition(generate.usage(context))[2].partition(end)[0]
            for param in context.command.params:
                if isinstance(param, click.Option):
                    assert param.opts[-1] in section, context.command_path


def test_every_option_of_lean_is_listed() -> None:
    registered = re.findall(
        r"^register_option (\S+)", generate.OPTIONS.read_text(encoding="utf-8"), re.MULTILINE
    )
    listed = generate.lean_options()
    assert len(registered) > 5
    assert [name for name in registered if f"| `{name}` |" not in listed] == []


def test_no_cell_is_empty_that_a_docstring_fills() -> None:
    for part in ("settings", "exit-codes", "errors", "lean-options", "variables"):
        rows = generate.PARTS[part]().splitlines()[2:]
        assert rows
        assert [row for row in rows if row.endswith("|  |")] == []


# --- troubleshooting -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def rows() -> list[list[str]]:
    """The rows of the tables of the page on troubleshooting."""
    text = (DOCS / "troubleshooting.md").read_text(encoding="utf-8")
    return [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]


def test_every_error_has_a_remedy(rows: list[list[str]]) -> None:
    codes = {cls.code for cls in generate.error_classes()}
    assert {"config", "busy", "internal"} < codes
    described = {row[0].strip("`"): row for row in rows if re.fullmatch(r"`\w+`", row[0])}
    of_aiohttp = {"not_found", "method_not_allowed"}
    assert set(described) == codes | of_aiohttp
    assert [code for code, row in described.items() if len(row) != 3 or not all(row)] == []


def test_a_command_exits_with_the_code_of_the_daemons_error() -> None:
    for cls in generate.error_classes():
        status = generate.http_status(cls)
        if status is not None:
            assert Refused(status, cls.code, "", "").exit_code == cls.exit_code, cls


def test_every_exit_code_has_a_remedy(rows: list[list[str]]) -> None:
    described = {row[0] for row in rows if row[0].isdecimal()}
    assert described == {str(code.value) for code in ExitCode if code != ExitCode.OK}


def test_everything_that_doctor_finds_has_a_remedy(rows: list[list[str]]) -> None:
    found = set(findings())
    assert len(found) > 25
    described = [row[0] for row in rows]
    assert [
        (part, words)
        for part, words in found
        if not any(text.startswith(f"`{part}`: ") and words in text for text in described)
    ] == []


def test_every_message_of_the_tactic_has_a_remedy() -> None:
    """The remedy is in "Messages" of docs/lean.md, or on the page on troubleshooting."""
    tables = "".join(
        line
        for page in ("lean.md", "troubleshooting.md")
        for line in (DOCS / page).read_text(encoding="utf-8").splitlines()
        if line.startswith("| ")
    ).replace("`", "")
    said = {
        phrase for file in (ROOT / "lean/LlmSuggest").glob("*.lean") for phrase in phrases(file)
    }
    assert len(said) > 7
    assert [phrase for phrase in sorted(said) if phrase not in tables] == []


def phrases(file: Path) -> Iterator[str]:
    """The first words of each string in a Lean file that is a sentence."""
    source = re.sub(r"\\\n\s*", "", file.read_text(encoding="utf-8"))
    for text in re.findall(r'"((?:[^"\\\n]|\\.)*)"', source):
        if re.search(r"\w[.?](\{| |$)", text) and file.name != "Options.lean":
            said = text.removeprefix("llmsuggest: ").removeprefix("llmprove: ")
            pieces = re.split(r"\{[^}]*\}|[.,;:(](?= |$)", said)
            words = next((piece.split() for piece in pieces if len(piece.split()) > 2), [])
            if words and words[0].isalpha() and words[0].islower():
                yield " ".join(words[:4]).replace("`", "")


def findings() -> Iterator[tuple[str, str]]:
    """The findings of doctor that are not `ok`: the part, and a constant piece of the message."""
    tree = ast.parse(Path(doctor.__file__).read_text(encoding="utf-8"))
    for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
        assigned = [
            (target.id, node.value)
            for node in ast.walk(function)
            if isinstance(node, ast.Assign)
            for target in ast.walk(node)
            if isinstance(target, ast.Name) and isinstance(target.ctx, ast.Store)
        ]
        for node in ast.walk(function):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "Finding":
                part, level, message, *_ = node.args
                if ast.unparse(level) == "'ok'":
                    continue
                name = _value(part, assigned)
                for text in _texts(message, assigned):
                    yield name, text


def _value(part: ast.expr, assigned: list[tuple[str, ast.expr]]) -> str:
    if isinstance(part, ast.Name):
        part = next(value for name, value in assigned if name == part.id)
        if isinstance(part, ast.Tuple):
            part = part.elts[0]
    assert isinstance(part, ast.Constant)
    return str(part.value)


def _texts(message: ast.expr, assigned: list[tuple[str, ast.expr]]) -> Iterator[str]:
    """The longest constant piece of each possible value of an expression; empty if none."""
    if isinstance(message, ast.IfExp):
        yield from _texts(message.body, assigned)
        yield from _texts(message.orelse, assigned)
    elif isinstance(message, ast.Name):
        values = [value for name, value in assigned if name == message.id]
        for value in values:
            yield from _texts(value.elts[0] if isinstance(value, ast.Tuple) else value, assigned)
    elif isinstance(message, ast.JoinedStr):
        constants = [str(v.value) for v in message.values if isinstance(v, ast.Constant)]
        yield max(constants, key=len, default="").strip(" ,:")
    else:
        yield str(message.value).strip(" ,:") if isinstance(message, ast.Constant) else ""
