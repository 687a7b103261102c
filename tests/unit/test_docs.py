"""The documents: what they point to exists, and what they list is what the code has."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from llmsuggestd.cli import COMMANDS
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
        assert f"LLMSUGGESTD_{field.name.upper()}" in row.group(1)


def test_every_exit_code_is_documented() -> None:
    text = (ROOT / "docs/reference/exit-codes.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| (\d+) \| (\w+) \|", text, re.MULTILINE))
    assert rows == {str(code.value): code.name for code in ExitCode}


def test_every_command_is_documented() -> None:
    text = (ROOT / "docs/reference/cli.md").read_text(encoding="utf-8")
    assert {name for name in COMMANDS if f"`{name}" not in text} == set()
