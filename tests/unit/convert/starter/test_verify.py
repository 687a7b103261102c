"""The check in Lean, as far as it can be tested without Lean: the file written, the answer read."""

from __future__ import annotations

import random
import stat
from pathlib import Path

import pytest

from convert.starter.families import make
from convert.starter.goals import Sample
from convert.starter.scene import Scene
from convert.starter.verify import source, statement, verify


@pytest.fixture
def sample() -> Sample:
    found = make("propositional/and_intro", Scene(random.Random(1)))
    assert found is not None
    return found


def script(folder: Path, body: str) -> str:
    """A stand-in for Lean."""
    file = folder / "lean"
    file.write_text("#!/bin/sh\n" + body)
    file.chmod(file.stat().st_mode | stat.S_IXUSR)
    return str(file)


def test_a_goal_becomes_an_example(sample: Sample) -> None:
    text = statement(sample.goal)
    assert text.startswith("example (")
    assert text.endswith(f" : {sample.goal.target} := by")


def test_every_try_has_its_line(sample: Sample) -> None:
    text = source([(sample, step) for step in sample.steps])
    for number in range(len(sample.steps)):
        assert f" judge {number} " in text


def test_verdicts_are_read(sample: Sample, tmp_path: Path) -> None:
    lean = script(tmp_path, """echo 'VERDICT [0,"closed",""]'\necho 'VERDICT [1,"error","no"]'\n""")
    verdicts = verify([sample], lean)
    assert [v.kind for v in verdicts[:2]] == ["closed", "error"]
    assert [v.wrong for v in verdicts[:2]] == [False, True]
    assert all(v.wrong for v in verdicts[2:]), "a statement that Lean did not judge is wrong"


def test_silence_is_an_error(sample: Sample, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="judged nothing"):
        verify([sample], script(tmp_path, "echo broken >&2\n"))
