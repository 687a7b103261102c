"""Completes the description of a model's tokenizer, if the model's file leaves a part out.

llama.cpp guesses a missing part. The model then answers worse, without an error. GGUF files with
byte-level BPE that were made before May 2024 do not say how text is split before bytes are merged
to tokens (`tokenizer.ggml.pre`). In a file without an end token, llama.cpp takes token 11. The
right values follow from the architecture and the vocabulary. If they do not, the model is refused.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from typing import Final, NamedTuple

MODEL_KEY: Final = "tokenizer.ggml.model"
PRE_KEY: Final = "tokenizer.ggml.pre"
END_KEY: Final = "tokenizer.ggml.eos_token_id"

NORMALIZER_KEY: Final = "llmsuggestd.normalizer"
"""Our converter's key for the normalisation of text. Files of other converters lack it."""

BYTE_LEVEL_BPE: Final = "gpt2"
"""The kind of tokenizer that needs a pre-tokenizer. SentencePiece has none."""

LIKE_GPT2: Final = frozenset(
    {"gpt-2", "olmo", "mpt", "phi-2", "jina-es", "jina-de", "jina-v1-en", "jina-v2-code",
     "jina-v2-de", "jina-v2-es", "roberta-bpe", "gigachat", "a.x-4.0", "mellum", "modern-bert",
     "exaone4", "jais", "trillion", "granite-docling"}
)  # fmt: skip
"""Pre-tokenizers that split text as GPT-2's does, and therefore as GPT-NeoX's does (from
llama.cpp's llama-vocab.cpp)."""

_NFC: Final = frozenset({"olmo", "mpt", "qwen2", "deepseek-r1-qwen", "qwen35"})
"""Pre-tokenizers of models whose tokenizers normalise to NFC: GPT-NeoX's and Qwen's."""

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
"""Texts of the end token, for files that do not say which token it is."""


Corrections = dict[str, str | int]
"""Keys of a model's header with the values that they should have."""


class Unknown(Exception):
    """A required value is missing in the file, and cannot be derived."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


class Facts(NamedTuple):
    """A file's description of its tokenizer; empty or None where a value is missing."""

    architecture: str
    model: str
    pre: str
    end: int | None
    size: int
    """Number of tokens."""
    end_is_text: bool = False
    """Whether the end token is an ordinary token, which stands for text."""


def needs_nfc(architecture: str, pre: str, stated: str) -> bool:
    """Whether text must be normalised to NFC, which llama.cpp does not do.

    `stated` is the value of NORMALIZER_KEY, empty without one.
    """
    return stated == "NFC" if stated else architecture == "gptneox" or pre in _NFC


def nfc(text: str) -> str:
    """A text in Unicode's normal form NFC."""
    return unicodedata.normalize("NFC", text)


def corrections(facts: Facts, number_of: Callable[[str], int | None]) -> Corrections:
    """The values that llama.cpp must use instead of the file's.

    `number_of` finds a token's number by its text. Raises Unknown.
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
                "use another file, or convert its checkpoint again",
            )
        if end != facts.end:
            found[END_KEY] = end
    return found


def _pre_tokenizer(facts: Facts, number_of: Callable[[str], int | None]) -> str:
    neox = facts.architecture == "gptneox"
    if facts.pre and not (neox and facts.pre == "default"):  # "default" is llama.cpp's guess
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
        "it was converted before May 2024: use a newer file, or convert its checkpoint again",
    )
