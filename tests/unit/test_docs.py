"""The documents: what they point to exists, and what they list is what the code has."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec
import pytest

from llmsuggestd.cli import cli
from llmsuggestd.config import Config
from llmsuggestd.errors import ExitCode

ROOT = Path(__file__).parents[2]
DOCUMENTS = [
    path
    for path in [ROOT / "README.md", ROOT / "CHANGELOG.md", *ROOT.glob("[!.]*/**/*.md")]
    if "node_modules" not in path.parts
]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_relative_links_lead_somewhere(document: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)", document.read_text(encoding="utf-8"))
    local = [target for target in targets if "://" not in target]
    assert [target for target in local if not (document.parent / target).exists()] == []


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


def test_every_setting_is_documented_with_its_default() -> None:
    text = (ROOT / "docs/reference/config.md").read_text(encoding="utf-8")
    for field in msgspec.structs.fields(Config):
        row = re.search(rf"^\| `{field.name}` \|(.*)$", text, re.MULTILINE)
        assert row, field.name
        variable, default, *_ = (cell.strip() for cell in row.group(1).split(" | "))
        assert variable == f"`LLMSUGGESTD_{field.name.upper()}`"
        if field.name != "socket":  # whose default depends on the user
            assert default == f"`{json.dumps(field.default)}`"


def test_every_exit_code_is_documented() -> None:
    text = (ROOT / "docs/reference/exit-codes.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| (\d+) \| (\w+) \|", text, re.MULTILINE))
    assert rows == {str(code.value): code.name for code in ExitCode}


def test_every_command_is_documented() -> None:
    """With its options; all of them, unless the row ends with an ellipsis."""
    text = (ROOT / "docs/reference/cli.md").read_text(encoding="utf-8")
    rows = [line.split(" | ")[0].strip("| ") for line in text.splitlines() if line[:3] == "| `"]
    for name, command in leaves(cli):
        row = next((row for row in rows if re.search(rf"`{name}[ `]", row)), None)
        assert row is not None, name
        named = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", row))
        options = [param for param in command.params if isinstance(param, click.Option)]
        assert named <= {word for option in options for word in option.opts}, name
        if not row.rstrip("`").endswith("…"):
            told = [option.opts for option in options if option.name != "as_json"]
            assert [words for words in told if named.isdisjoint(words)] == [], name


def leaves(group: click.Group, path: str = "") -> Iterator[tuple[str, click.Command]]:
    """Every command that is no group, with its name as one types it."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from leaves(command, f"{path}{name} ")
        else:
            yield f"{path}{name}", command
