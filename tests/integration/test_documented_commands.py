"""The commands of README and docs/ run unchanged.

The tests run each block of `sh`, page by page, unless the comment `<!-- not run here: REASON -->`
stands above it. A block below the comment `<!-- printed -->` is compared with the output of the
last commands above it. Numbers with a decimal point may differ a little, since they depend on the
processor.
"""

from __future__ import annotations

import json
import math
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from llmsuggestd.models import store
from tests.conftest import Home

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(
    r"(?:^<!-- (?P<comment>[^\n]*?) -->\n)?^```(?P<kind>\w*)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
NUMBER = re.compile(r"-?\d+\.\d+")


class Block(NamedTuple):
    """A fenced block, with the comment in the line above it."""

    comment: str
    kind: str
    text: str


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    found = BLOCK.finditer(page.read_text(encoding="utf-8"))
    return [Block(each["comment"] or "", each["kind"], each["text"]) for each in found]


def is_run(block: Block) -> bool:
    """Whether the test runs a block's commands."""
    return block.kind == "sh" and not re.match("not run here: .{10}", block.comment)


RUN = [page for page in PAGES if any(is_run(block) for block in blocks(page))]


@pytest.mark.skipif(sys.platform == "win32", reason="the documents' commands are for a POSIX shell")
@pytest.mark.timeout(300)
@pytest.mark.parametrize("page", RUN, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_run_as_they_stand(page: Path, home: Home, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "convert/starter/checkpoint", tmp_path / "my-checkpoint")
    shutil.copy(store.SHIPPED, tmp_path / "FILE.gguf")
    (tmp_path / "convert").symlink_to(ROOT / "convert")
    home.install_starter()
    env = home.env | {"SOCKET": str(home.paths.socket)}
    ports: dict[str, str] = {}
    printed = ""
    for block in blocks(page):
        text = with_free_ports(block.text, ports)
        if block.kind == "toml" and text.startswith("compat"):
            (home.paths.config).mkdir(exist_ok=True)
            (home.paths.config / "config.toml").write_text(text, encoding="utf-8")
        elif is_run(block):
            if "curl" in text:
                home.run("start")
            result = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", text],
                cwd=tmp_path, env=env, capture_output=True, text=True, check=False, timeout=100,
            )  # fmt: skip
            assert result.returncode == 0, f"{text}\n{result.stdout}{result.stderr}"
            assert '"error"' not in result.stdout, result.stdout
            printed = result.stdout
        elif block.comment == "printed":
            assert_alike(text, printed)


def with_free_ports(text: str, ports: dict[str, str]) -> str:
    """The text with free ports instead of the documented ones, which may be in use."""
    names = {"llmstep": "6000", "leancopilot": "23337", "llmlean": "11434"}
    for name, port in names.items():
        if port not in ports:
            with socket.socket() as found:
                found.bind(("127.0.0.1", 0))
                ports[port] = str(found.getsockname()[1])
        text = text.replace(f'["{name}"]', f'["{name}:{ports[port]}"]')
        text = text.replace(f"localhost:{port}", f"localhost:{ports[port]}")
    return text


def assert_alike(documented: str, printed: str) -> None:
    """Check that the texts are equal except for decimals, or that JSON has the same keys."""
    if documented.startswith("{"):
        assert shape(json.loads(documented)) == shape(json.loads(printed))
        return
    lines, said = ([line.rstrip() for line in text.splitlines()] for text in (documented, printed))
    there = [line for line in said if NUMBER.sub("#", line) in {NUMBER.sub("#", x) for x in lines}]
    assert len(there) == len(lines), f"documented:\n{documented}\nprinted:\n{printed}"
    assert [NUMBER.sub("#", line) for line in lines] == [NUMBER.sub("#", line) for line in there]
    for line, now in zip(lines, there, strict=True):
        for one, other in zip(NUMBER.findall(line), NUMBER.findall(now), strict=True):
            assert math.isclose(float(one), float(other), rel_tol=0.2, abs_tol=0.03), (line, now)


def shape(value: object) -> object:
    """The nested keys of a JSON value; of a list, those of its first item."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    if isinstance(value, list):
        return [shape(item) for item in value[:1]]
    return None


def test_readme_shows_what_its_first_command_prints(home: Home) -> None:
    """Only the last part of the command is run, since the rest installs llmsuggestd."""
    readme = blocks(ROOT / "README.md")
    command = next(block.text for block in readme if block.kind == "sh").split(" && ")[-1]
    sample = next(block.text for block in readme if block.comment == "printed")
    home.install_starter()
    home.run("start")
    assert command.startswith(".venv/bin/llmsuggestd suggest ")
    result = subprocess.run(
        ["bash", "-c", command.removeprefix(".venv/bin/")],
        env=home.env, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert_alike(sample, result.stdout)


def test_a_sample_that_differs_from_the_output_is_noticed() -> None:
    assert_alike("  1  -0.187 simp\n", "  1  -0.189 simp\n")
    for other in ("  1  -0.189 omega\n", "  1  -0.800 simp\n", ""):
        with pytest.raises(AssertionError):
            assert_alike("  1  -0.187 simp\n", other)
