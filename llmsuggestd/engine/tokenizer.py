"""What llama.cpp is told of a model's tokenizer where the model's file says too little.

Where a file is silent llama.cpp guesses, and goes on: the model then answers worse, and nobody is
told. A GGUF file with byte-level BPE, if it was made before May 2024, does not say how text is
split before bytes are merged to tokens (`tokenizer.ggml.pre`), and one without an end token gets
token 11. What is right follows from the architecture and the vocabulary, or it is unknown and the
model is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

MODEL_KEY: Final = "tokenizer.ggml.model"
PRE_KEY: Final = "tokenizer.ggml.pre"
END_KEY: Final = "tokenizer.ggml.eos_token_id"

BYTE_LEVEL_BPE: Final = "gpt2"
"""The tokenizer's model for which a pre-tokenizer must be named; SentencePiece has none."""

LIKE_GPT2: Final = frozenset(
    {"gpt-2", "olmo", "mpt", "phi-2", "jina-es", "jina-de", "jina-v1-en", "jina-v2-code",
     "jina-v2-de", "jina-v2-es", "roberta-bpe", "gigachat", "a.x-4.0", "mellum", "modern-bert",
     "exaone4", "jais", "trillion", "granite-docling"}
)  # fmt: skip
"""Pre-tokenizers that split as GPT-2's (llama.cpp's llama-vocab.cpp), and so as GPT-NeoX's."""

_BY_ARCHITECTURE: Final = {
    "gptneox": "olmo", "gpt2": "gpt-2", "gptj": "gpt-2", "qwen2": "qwen2", "qwen2moe": "qwen2",
    "starcoder": "starcoder", "starcoder2": "starcoder", "mpt": "mpt", "falcon": "falcon",
    "bloom": "bloom", "olmo": "olmo", "phi2": "phi-2", "command-r": "command-r",
    "refact": "refact", "codeshell": "codeshell",
}  # fmt: skip
"""Architectures whose models all have the same pre-tokenizer."""

_BY_TOKEN: Final = (
    ("<|begin_of_text|>", range(128_256, 128_512), "llama-bpe"),
    ("<｜begin▁of▁sentence｜>", range(32_000, 32_513), "deepseek-coder"),
    ("<｜begin▁of▁sentence｜>", range(100_000, 102_401), "deepseek-llm"),
)
"""A token, sizes of the vocabulary, and the pre-tokenizer of the models that have both."""

_ENDS: Final = ("<|endoftext|>", "<|end_of_text|>", "<｜end▁of▁sentence｜>")
"""What the end token is called, where a file does not say which token it is."""


Corrections = dict[str, str | int]
"""Keys of a model's header, and the values that they should have."""


class Unknown(Exception):
    """The file does not say what is needed, and nothing else tells."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


class Facts(NamedTuple):
    """What a file says of its tokenizer; empty or None where it says nothing."""

    architecture: str
    model: str
    pre: str
    end: int | None
    size: int
    """How many tokens there are."""
    end_is_text: bool = False
    """Whether the end token is an ordinary one, which stands for text."""


def corrections(facts: Facts, number_of: Callable[[str], int | None]) -> Corrections:
    """The keys that llama.cpp must be given other values for than the file has.

    `number_of` finds a token by its text. Raises Unknown.
    """
    if facts.model != BYTE_LEVEL_BPE:
        return {}
    found: Corrections = {}
    pre = _pre_tokenizer(facts, number_of)
    if pre != facts.pre:
        found[PRE_KEY] = pre
    if facts.end is None or facts.end >= facts.size or facts.end_is_text:
        end = next((n for text in _ENDS if (n := number_of(text)) is not None), facts.end)
        if end is None or end >= facts.size:
            raise Unknown(
                f"it does not say which token ends a text ({END_KEY})",
                "take another file, or convert its checkpoint again",
            )
        if end != facts.end:
            found[END_KEY] = end
    return found


def _pre_tokenizer(facts: Facts, number_of: Callable[[str], int | None]) -> str:
    neox = facts.architecture == "gptneox"
    if facts.pre and not (neox and facts.pre == "default"):  # which is llama.cpp's guess
        if neox and facts.pre not in LIKE_GPT2:
            raise Unknown(
                f"its text is split as by {facts.pre} ({PRE_KEY}), while GPT-NeoX's tokenizers"
                " split as GPT-2's",
                "it was converted wrongly: convert its checkpoint with `llmsuggestd convert`",
            )
        return facts.pre
    if facts.architecture in _BY_ARCHITECTURE:
        return _BY_ARCHITECTURE[facts.architecture]
    for token, sizes, pre in _BY_TOKEN:
        if facts.size in sizes and number_of(token) is not None:
            return pre
    raise Unknown(
        f"it does not say how its text is split before it is tokenised ({PRE_KEY})",
        "it was converted before May 2024: take a newer file, or convert its checkpoint again",
    )
