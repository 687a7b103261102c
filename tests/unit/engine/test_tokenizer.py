"""The values that complete a file's tokenizer, and files for which they are unknown."""

from __future__ import annotations

import pytest

from llmsuggestd.convert.bpe import PRE_TOKENIZERS
from llmsuggestd.engine import tokenizer
from llmsuggestd.engine.tokenizer import END_KEY, PRE_KEY, Facts, Unknown, corrections

NEOX = Facts("gptneox", "gpt2", "olmo", 0, 50_304)
LLAMA = Facts("llama", "gpt2", "llama-bpe", 128_001, 128_256)
DEEPSEEK = "<｜begin▁of▁sentence｜>"


@pytest.mark.parametrize(
    ("facts", "tokens", "expected"),
    [
        (NEOX, {}, {}),
        (NEOX._replace(pre="gpt-2"), {}, {}),
        (NEOX._replace(pre=""), {}, {PRE_KEY: "olmo"}),
        (NEOX._replace(pre="default"), {}, {PRE_KEY: "olmo"}),
        (NEOX._replace(end=None), {"<|endoftext|>": 3}, {END_KEY: 3}),
        (NEOX._replace(end=50_304), {"<|endoftext|>": 3}, {END_KEY: 3}),
        (NEOX._replace(end=7, end_is_text=True), {"<|endoftext|>": 0}, {END_KEY: 0}),
        (NEOX._replace(end=7, end_is_text=True), {}, {}),
        (NEOX._replace(end=7), {"<|endoftext|>": 0}, {}),
        (NEOX._replace(pre="", end=None), {"<|endoftext|>": 0}, {PRE_KEY: "olmo", END_KEY: 0}),
        (Facts("qwen2", "gpt2", "", 5, 151_936), {}, {PRE_KEY: "qwen2"}),
        (LLAMA, {}, {}),
        (LLAMA._replace(pre="default"), {}, {}),
        (LLAMA._replace(pre=""), {"<|begin_of_text|>": 128_000}, {PRE_KEY: "llama-bpe"}),
        (Facts("llama", "gpt2", "", 2, 32_256), {DEEPSEEK: 1}, {PRE_KEY: "deepseek-coder"}),
        (Facts("llama", "gpt2", "", 2, 102_400), {DEEPSEEK: 1}, {PRE_KEY: "deepseek-llm"}),
        (Facts("llama", "llama", "", None, 32_000), {}, {}),  # SentencePiece has no pre-tokenizer
    ],
)
def test_known_values_are_used(
    facts: Facts, tokens: dict[str, int], expected: dict[str, str | int]
) -> None:
    assert corrections(facts, tokens.get) == expected


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        (NEOX._replace(pre="llama-bpe"), "its text is split as by llama-bpe"),
        (NEOX._replace(pre="no-such"), "its text is split as by no-such"),
        (NEOX._replace(end=None), "does not say which token ends a text"),
        (LLAMA._replace(pre=""), "does not say how its text is split"),
        (LLAMA._replace(pre="", size=49_152), "does not say how its text is split"),
        (Facts("of-tomorrow", "gpt2", "", 0, 9), "does not say how its text is split"),
    ],
)
def test_unknown_values_are_refused(facts: Facts, words: str) -> None:
    with pytest.raises(Unknown, match=words) as caught:
        corrections(facts, lambda _: None)
    assert "convert its checkpoint" in caught.value.hint


def test_the_converters_pre_tokenizer_is_one_of_gpt_2s() -> None:
    assert "olmo" in PRE_TOKENIZERS
    assert "olmo" in tokenizer.LIKE_GPT2
