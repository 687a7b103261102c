"""SentencePiece's BPE, as in Llama 2: a tokenizer.model, a tokenizer.json, or both.

A tokenizer.model is a message of protocol buffers (sentencepiece's `sentencepiece_model.proto`).
Only a few of its fields are read: the tokens with their scores, and the preparation of text. In a
tokenizer.json made from it, the order of the merges replaces the scores.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from gguf import TokenType

from llmsuggestd import filekind
from llmsuggestd.convert.vocabulary import Vocabulary, steps, token_ids
from llmsuggestd.errors import InputError
from llmsuggestd.file_errors import unreadable

SPACE: Final = "▁"
"""The letter that replaces a space."""

_NO_MERGE: Final = -1e9
"""The score of a token that no merge makes."""

# numbers of fields in sentencepiece_model.proto
_PIECES, _TRAINER, _NORMALIZER = 1, 2, 3
_PIECE, _SCORE, _TYPE = 1, 2, 3
_MODEL_TYPE, _SUFFIX, _BYTE_FALLBACK = 3, 24, 35
_CHARSMAP, _DUMMY_PREFIX, _REMOVE_SPACES, _ESCAPE = 2, 3, 4, 5

_KINDS: Final = {1: "unigram", 2: "BPE", 3: "words", 4: "characters"}
_TYPES: Final = {
    2: TokenType.UNKNOWN, 3: TokenType.CONTROL, 4: TokenType.USER_DEFINED, 5: TokenType.UNUSED,
    6: TokenType.BYTE,
}  # fmt: skip

Value = int | bytes
Message = dict[int, list[Value]]
"""The values of each field of a message: integers or bytes."""


class _DamagedError(Exception):
    """The bytes are not a message."""


def read_model_file(path: Path) -> Vocabulary:
    """Read a tokenizer.model.

    Raises `InputError` if it is damaged, or llama.cpp cannot reproduce it.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise unreadable(path, error) from None
    try:
        root = _message(data)
        pieces = [_message(_bytes(piece)) for piece in root.get(_PIECES, [])]
        trainer, normalizer = (
            _message(_bytes(_last(root, n, b""))) for n in (_TRAINER, _NORMALIZER)
        )
        found = [
            (
                _bytes(_last(piece, _PIECE, b"")).decode(),
                struct.unpack("<f", struct.pack("<I", _last(piece, _SCORE, 0)))[0],
                _last(piece, _TYPE, 1),
            )
            for piece in pieces
        ]
        if not found:
            raise _DamagedError
        _check_kind(path, trainer, normalizer)
    except (_DamagedError, UnicodeDecodeError, struct.error, RecursionError):
        problem = "not a tokenizer of SentencePiece, or damaged"
        raise filekind.refusal(path, "a tokenizer.model of SentencePiece", problem) from None
    ids = {text: number for number, (text, _, _) in enumerate(found)}
    if len(ids) != len(found):
        raise InputError(f"{path}: the same token twice", "download it again")
    return Vocabulary(
        model="llama",
        pre="default",
        ids=ids,
        normalizer="none",
        scores={number: score for number, (_, score, _) in enumerate(found)},
        types={n: _TYPES[kind] for n, (_, _, kind) in enumerate(found) if kind in _TYPES},
        add_space=bool(_last(normalizer, _DUMMY_PREFIX, 1)),
    )


def _check_kind(path: Path, trainer: Message, normalizer: Message) -> None:
    """Raise InputError unless llama.cpp can reproduce the tokenizer."""
    kind = _last(trainer, _MODEL_TYPE, 1)
    problems = {
        f"its kind is {_KINDS.get(kind, kind)}, not BPE": kind != 2,
        "it has no tokens for single bytes": not _last(trainer, _BYTE_FALLBACK, 0),
        "it has spaces at the ends of words": _last(trainer, _SUFFIX, 0),
        "it normalises text": _last(normalizer, _CHARSMAP, b""),
        "it removes spaces": _last(normalizer, _REMOVE_SPACES, 1),
        "it does not keep spaces": not _last(normalizer, _ESCAPE, 1),
    }
    for problem, is_so in problems.items():
        if is_so:
            raise InputError(
                f"{path}: llama.cpp does not compute this SentencePiece tokenizer: {problem}",
                "Llama's kind of SentencePiece can be converted: BPE with bytes, text as it is",
            )


def _message(data: bytes) -> Message:
    """Parse a message: https://protobuf.dev/programming-guides/encoding/."""
    result: Message = {}
    for field, value in _fields(data):
        result.setdefault(field, []).append(value)
    return result


def _fields(data: bytes) -> Iterator[tuple[int, Value]]:
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        kind = key & 7
        if kind == 0:
            value, at = _varint(data, at)
            yield key >> 3, value
            continue
        if kind == 2:
            size, at = _varint(data, at)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise _DamagedError
        content = data[at : at + size]
        if len(content) != size:
            raise _DamagedError
        at += size
        yield key >> 3, content if kind == 2 else int.from_bytes(content, "little")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 64:
        value |= (data[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not data[at - 1] & 0x80:
            return value, at
    raise _DamagedError


def _last(message: Message, field: int, default: Any) -> Any:
    """A field's last value, which is the valid one. Raises _DamagedError for another type."""
    value = message.get(field, [default])[-1]
    if isinstance(value, bytes) != isinstance(default, bytes):
        raise _DamagedError
    return value


def _bytes(value: Value) -> bytes:
    if not isinstance(value, bytes):
        raise _DamagedError
    return value


def is_sentencepiece(data: Mapping[str, Any]) -> bool:
    """Whether a tokenizer.json was made from a tokenizer.model."""
    model = data.get("model")
    return (
        isinstance(model, dict) and model.get("type") == "BPE" and bool(model.get("byte_fallback"))
    )


def read_json(data: Mapping[str, Any], where: str) -> Vocabulary:
    """Read a tokenizer.json's object; `where` names the file in errors.

    SentencePiece merges the pair with the best score, and `tokenizers` merges the pair that is
    listed first. These agree if the list has every pair of tokens that makes a token, and has all
    pairs of the same token next to each other. Raises `InputError` otherwise, or if llama.cpp
    cannot reproduce the tokenizer.
    """
    model = data["model"]
    ids = token_ids(model, where)
    space = space_first(data, where)
    ranks: dict[str, list[int]] = {}
    pairs = set()
    merges = model.get("merges")
    for rank, entry in enumerate(merges if isinstance(merges, list) else []):
        parts = entry.split(" ") if isinstance(entry, str) else entry
        pair = tuple(parts) if isinstance(parts, list) else ()
        if len(pair) != 2 or not all(isinstance(p, str) and p in ids for p in pair):
            raise InputError(f"{where}: the merge {entry!r} is not a pair of tokens")
        if pair[0] + pair[1] not in ids:
            raise InputError(f"{where}: the merge {entry!r} makes a token that does not exist")
        ranks.setdefault(pair[0] + pair[1], []).append(rank)
        pairs.add(pair)
    unknown, bytes_of = model.get("unk_token"), {f"<0x{byte:02X}>" for byte in range(256)}
    types = {number: TokenType.BYTE for text, number in ids.items() if text in bytes_of}
    if isinstance(unknown, str) and unknown in ids:
        types[ids[unknown]] = TokenType.UNKNOWN
    together = all(found[-1] - found[0] == len(found) - 1 for found in ranks.values())
    complete = all(
        (text[:cut], text[cut:]) in pairs
        for text, number in ids.items()
        if number not in types
        for cut in range(1, len(text))
        if text[:cut] in ids and text[cut:] in ids
    )
    if not together or not complete:
        raise InputError(
            f"{where}: llama.cpp does not compute its merges, which are not SentencePiece's",
            "put the tokenizer.model from which it was made beside it",
        )
    return Vocabulary(
        model="llama",
        pre="default",
        ids=ids,
        normalizer="none",
        scores={n: -float(ranks[t][0]) if t in ranks else _NO_MERGE for t, n in ids.items()},
        types=types,
        add_space=space,
    )


def space_first(data: Mapping[str, Any], where: str) -> bool:
    """Whether a tokenizer.json adds a space before a text.

    Raises `InputError` if it prepares text in another way than llama.cpp.
    """
    prepends = False
    for step in steps(data.get("normalizer"), "normalizers"):
        kind = step.get("type")
        replaces = step.get("pattern") == {"String": " "} and step.get("content") == SPACE
        if kind == "Prepend" and step.get("prepend") == SPACE:
            prepends = True
        elif kind != "Replace" or not replaces:
            raise _unlike_llama(where, f"normalises text by {kind}")
    for step in steps(data.get("pre_tokenizer"), "pretokenizers"):
        if step.get("type") != "Metaspace" or step.get("split", True):
            raise _unlike_llama(where, f"splits text by {step.get('type')}")
        scheme = step.get("prepend_scheme", "always")
        prepends = prepends or scheme != "never"
    return prepends


def _unlike_llama(where: str, problem: str) -> InputError:
    return InputError(
        f"{where}: the tokenizer {problem}",
        "SentencePiece can be converted only if it does not split text, and only marks spaces",
    )
