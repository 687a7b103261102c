"""The mutations in tests/benchmarks name code and tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.benchmarks.daemon_defences import DEFENCES
from tests.benchmarks.lean_mutations import MUTATIONS

ROOT = Path(__file__).parents[2]
CASES = [
    *(
        pytest.param(
            [(f"lean/LlmSuggest/{mutation.file}.lean", mutation.old)],
            [mutation.test],
            id=f"tactic: {mutation.name}",
        )
        for mutation in MUTATIONS
    ),
    *(
        pytest.param(
            [(file, old) for file, old, _ in defence.edits],
            defence.tests,
            id=f"daemon: {defence.name}",
        )
        for defence in DEFENCES
    ),
]


@pytest.mark.parametrize(("texts", "tests"), CASES)
def test_each_mutation_names_existing_code_and_tests(
    texts: list[tuple[str, str]], tests: list[str]
) -> None:
    for file, text in texts:
        assert (ROOT / file).read_text(encoding="utf-8").count(text) == 1, f"{text!r} in {file}"
    for test in tests:
        file, _, function = test.partition("::")
        assert re.search(rf"def {function}\(" if function else "", (ROOT / file).read_text())
