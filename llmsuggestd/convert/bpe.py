"""Byte-level BPE, as in a tokenizer.json.

Text is split by regular expressions before bytes are merged to tokens. llama.cpp implements some
ways to split, each under a name that is stored in the file. So a tokenizer is accepted only if its
expressions are exactly those of a name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

from llmsuggestd.convert.vocabulary import Vocabulary, steps, token_ids
from llmsuggestd.errors import InputError

_GPT2: Final = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
"""ByteLevel's own expression, which some tokenizer.json files state explicitly."""

_LLAMA3: Final = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)

PRE_TOKENIZERS: Final[Mapping[str, tuple[str, ...]]] = {
    # "gpt-2" and "mpt" split in the same way. llama.cpp's converter chooses this name for GPT-NeoX.
    "olmo": (_GPT2,),
    "llama-bpe": (_LLAMA3,),
    "smaug-bpe": (_LLAMA3,),
    "qwen2": (_LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}"),),
    "deepseek-coder": (
        r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", "[一-龥ࠀ-一가-퟿]+", r"\p{N}",
    ),
}  # fmt: skip
"""llama.cpp's names, with the expressions that split text, one after the other."""

_WHOLE_WORDS: Final = frozenset({"llama-bpe"})
"""The names for which llama.cpp does not merge a word that is a token (`ignore_merges`)."""


def read_bpe(data: Mapping[str, Any], where: str) -> Vocabulary:
    """Read a tokenizer.json's object; `where` names the file in errors.

    Raises `InputError` if llama.cpp cannot reproduce it.
    """
    model = data["model"]
    for option in ("continuing_subword_prefix", "end_of_word_suffix", "dropout"):
        if model.get(option):
            raise InputError(f"{where}: BPE with {option} is not what llama.cpp computes")
    ids, merges = token_ids(model, where), model.get("merges")
    if not isinstance(merges, list):
        raise InputError(f"{where}: the tokenizer has no merges")
    missing = sum(letter not in ids for letter in _byte_letters())
    lost = f"the vocabulary lacks {missing} bytes; characters with them are dropped"
    return Vocabulary(
        model="gpt2",
        pre=_pre_tokenizer(data, where, whole_words=bool(model.get("ignore_merges"))),
        ids=ids,
        merges=[_merge(entry, ids, where) for entry in merges],
        normalizer=_normalizer(data.get("normalizer"), where),
        warnings=[lost] if missing else [],
    )


def _merge(entry: Any, vocab: Mapping[str, int], where: str) -> str:
    # "a b" before tokenizers 0.20, ["a", "b"] since.
    pair = entry.split(" ") if isinstance(entry, str) else entry
    if (
        not isinstance(pair, list)
        or len(pair) != 2
        or not all(isinstance(part, str) and part and " " not in part for part in pair)
    ):
        raise InputError(f"{where}: the merge {entry!r} is not a pair of byte-level tokens")
    if pair[0] + pair[1] not in vocab:
        raise InputError(f"{where}: the merge {entry!r} makes a token that does not exist")
    return f"{pair[0]} {pair[1]}"


def _normalizer(value: Any, where: str) -> Literal["NFC", "none"]:
    kinds = [str(step.get("type")) for step in steps(value, "normalizers")]
    if not kinds:
        return "none"
    if set(kinds) == {"NFC"}:
        return "NFC"
    raise InputError(
        f"{where}: the tokenizer normalises text by {', '.join(kinds)}",
        "only NFC, or no normalisation, can be reproduced",
    )


def _pre_tokenizer(data: Mapping[str, Any], where: str, *, whole_words: bool) -> str:
    """llama.cpp's name for the tokenizer's way to split text. Raises `InputError`."""
    found = steps(data.get("pre_tokenizer"), "pretokenizers")
    if found and found[-1].get("type") == "ByteLevel" and found[-1].get("add_prefix_space"):
        raise InputError(f"{where}: the tokenizer adds a space before the text")
    expressions = tuple(_expressions(found))
    names = [name for name, known in PRE_TOKENIZERS.items() if known == expressions]
    if not names:
        raise InputError(
            f"{where}: the tokenizer splits text by"
            f" {', '.join(str(step.get('type')) for step in found) or 'nothing'} in a way that"
            " llama.cpp is not known to reproduce",
            f"byte-level BPE can be converted if it splits like one of {', '.join(PRE_TOKENIZERS)}",
        )
    for name in names:
        if whole_words == (name in _WHOLE_WORDS):
            return name
    raise InputError(f"{where}: BPE with ignore_merges is not what llama.cpp computes for it")


def _expressions(found: list[dict[str, Any]]) -> Iterator[str | None]:
    """The expressions of a pre-tokenizer's steps; None for a step of another kind."""
    for step in found:
        pattern, kind = step.get("pattern"), step.get("type")
        if kind == "Split" and isinstance(pattern, dict) and isinstance(pattern.get("Regex"), str):
            plain = step.get("behavior") == "Isolated" and not step.get("invert")
            # some files have line ends as characters, others as \r and \n
            text = pattern["Regex"].replace("\r", r"\r").replace("\n", r"\n")
            yield text if plain else None
        elif kind == "Digits":
            yield r"\p{N}" if step.get("individual_digits") else r"\p{N}+"
        elif kind != "ByteLevel" or step is not found[-1]:
            yield None
        elif step.get("use_regex", True):
            yield _GPT2
    if not found or found[-1].get("type") != "ByteLevel":
        yield None


def _byte_letters() -> Iterator[str]:
    """The letters that stand for bytes in a byte-level vocabulary (GPT-2's mapping).

    The thirteen bytes that UTF-8 never has are left out, since some vocabularies lack them.
    """
    extra = 256
    for byte in range(256):
        if 0x21 <= byte <= 0x7E or 0xA1 <= byte <= 0xAC or 0xAE <= byte <= 0xFF:
            letter = byte
        else:
            letter, extra = extra, extra + 1
        if byte not in (0xC0, 0xC1) and byte < 0xF5:
            yield chr(letter)
