"""The goals on which `--check` compares models."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmsuggestd.convert.samples import BUILT_IN, Sample, read_samples
from llmsuggestd.errors import InputError


def test_the_built_in_goals_look_as_lean_prints_them() -> None:
    assert len(BUILT_IN) >= 20
    assert len({sample.goal for sample in BUILT_IN}) == len(BUILT_IN)
    for sample in BUILT_IN:
        assert "⊢ " in sample.goal
        assert sample.tactic
        assert sample.goal == sample.goal.strip()


def test_text_has_a_blank_line_between_goals(tmp_path: Path) -> None:
    path = tmp_path / "goals.txt"
    path.write_text("p : Prop\n⊢ p\n\n\n⊢ 1 = 1\n", encoding="utf-8")
    assert read_samples(path) == [Sample("p : Prop\n⊢ p"), Sample("⊢ 1 = 1")]


def test_a_byte_order_mark_and_a_blank_line_of_spaces(tmp_path: Path) -> None:
    path = tmp_path / "goals.txt"
    path.write_text("⊢ p\n  \n⊢ q\n", encoding="utf-8-sig")
    assert read_samples(path) == [Sample("⊢ p"), Sample("⊢ q")]
    path = tmp_path / "goals.jsonl"
    path.write_text('{"goal": "⊢ p"}\n', encoding="utf-8-sig")
    assert read_samples(path) == [Sample("⊢ p")]


def test_json_lines_name_goals_in_either_way(tmp_path: Path) -> None:
    path = tmp_path / "goals.jsonl"
    path.write_text(
        '{"goal": "⊢ p\\n\\n⊢ q", "tactic": "simp"}\n\n{"tactic_state": "⊢ r", "prefix": ""}\n',
        encoding="utf-8",
    )
    assert read_samples(path) == [Sample("⊢ p\n\n⊢ q", "simp"), Sample("⊢ r")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "no goals"),
        ("[1]\n", "line 1 is not"),
        ('{"goal": "⊢ p"}\n{"x": 1}', "line 2 has no goal"),
        ('{"goal": ""}', "line 1 has no goal"),
        ('{"goal": "⊢ p", "tactic": 3}', "line 1 has no goal"),
        ("{", "line 1 is not"),
        ('{"goal": "\\ud800"}', "line 1 has half a character"),
    ],
)
def test_broken_files_are_refused(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "goals.jsonl"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        read_samples(path)


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "goals.txt"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="UTF-8"):
        read_samples(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_samples(tmp_path)
