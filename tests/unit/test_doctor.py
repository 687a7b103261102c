"""What `doctor` says of the kernels: which are used, and why not faster ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmsuggestd import doctor
from llmsuggestd.building import Description
from llmsuggestd.engine import crashes
from llmsuggestd.engine.protocol import Kernels
from llmsuggestd.models.store import SHIPPED
from llmsuggestd.paths import Paths

CPU = {"name": "CPU", "description": "a processor", "is_gpu": False}


@pytest.mark.parametrize(
    ("missing", "crashed", "expected"),
    [
        ("", set(), [("ok", "ours, for Q4_K, Q5_K and Q6_K; llama.cpp's for others")]),
        ("they are for x86-64", set(), [("ok", "llama.cpp's; of ours: they are for x86-64")]),
        ("", {"own"}, [("warning", "ours crashed here: llama.cpp's are used")]),
        (
            "",
            {"own", "repacked"},
            [
                ("warning", "ours crashed here: llama.cpp's are used"),
                (
                    "warning",
                    "llama.cpp's fastest (extra buffer types) crashed here, and are left out",
                ),
            ],
        ),
    ],
)
def test_kernels(
    missing: str,
    crashed: set[Kernels],
    expected: list[tuple[str, str]],
    tmp_path: Path,
) -> None:
    found = Description([CPU], build="1.0", physical_cores=4, no_own_kernels=missing)
    paths = Paths(*[tmp_path] * 5)
    if crashed:
        crashes.remember(paths, frozenset(crashed))
    said = [finding for finding in doctor._llama_cpp(paths, found) if finding.part == "kernels"]
    assert [(finding.level, finding.message) for finding in said] == expected
    assert all(str(paths.engine_memory) in f.remedy for f in said if f.level == "warning")


@pytest.mark.parametrize(
    ("content", "level", "words", "remedy"),
    [
        (SHIPPED.read_bytes(), "ok", "mine, 3.9 MB", ""),
        (b"version https://git-lfs.github.com/spec/v1\n", "failed", "a pointer of git-lfs", "pull"),
        (SHIPPED.read_bytes()[:2_000_000], "failed", "cut short", "fetch it again"),
        (SHIPPED.read_bytes().replace(b"olmo", b"dbrx"), "failed", "split as by dbrx", "convert"),
    ],
    ids=["sound", "pointer", "short", "wrong tokenizer"],
)
def test_a_model_that_is_none_is_found(
    tmp_path: Path, content: bytes, level: str, words: str, remedy: str
) -> None:
    paths = Paths(*(tmp_path / name for name in ("config", "data", "cache", "state", "runtime")))
    paths.models.mkdir(parents=True)
    (paths.models / "mine.gguf").write_bytes(content)
    finding = doctor._model(paths, "mine")
    assert finding.level == level
    assert words in finding.message
    assert remedy in finding.remedy
