"""Tokenizers of SentencePiece, from its own file or a tokenizer.json, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from gguf import TokenType

from llmsuggestd.convert.samples import BUILT_IN
from llmsuggestd.convert.tokenizer import Tokenizer, read_tokenizer
from llmsuggestd.errors import InputError
from tests.unit.convert.checkpoints import sentencepiece_json, sentencepiece_model, write_json

sentencepiece = pytest.importorskip("sentencepiece")

LINES = [line for sample in BUILT_IN for line in (*sample.goal.split("\n"), sample.tactic)]
ENDS = {"bos_token_id": 1, "eos_token_id": 2}


@pytest.fixture(scope="module")
def model() -> bytes:
    return sentencepiece_model(LINES)


def read(folder: Path, model: bytes, rows: int | None = None) -> Tokenizer:
    """The tokenizer of a folder that has only a tokenizer.model."""
    (folder / "tokenizer.model").write_bytes(model)
    size = sentencepiece.SentencePieceProcessor(model_proto=model).vocab_size()
    return read_tokenizer(folder, ENDS, rows or size)


def test_a_tokenizer_model(tmp_path: Path, model: bytes) -> None:
    found = read(tmp_path, model)
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    count = range(processor.vocab_size())
    assert found.tokens == [processor.id_to_piece(n) for n in count]
    assert found.scores == [processor.get_score(n) for n in count]
    assert found.types[:4] == [
        TokenType.UNKNOWN, TokenType.CONTROL, TokenType.CONTROL, TokenType.BYTE
    ]  # fmt: skip
    assert found.types.count(TokenType.BYTE) == 256
    assert found.types[-1] == TokenType.NORMAL
    assert (found.model, found.pre, found.normalizer) == ("llama", "default", "none")
    assert found.special == {"bos": 1, "eos": 2}
    assert found.add_bos
    assert found.add_space is True
    assert found.merges == found.warnings == []


def test_rows_without_a_token_and_added_tokens(tmp_path: Path, model: bytes) -> None:
    size = len(read(tmp_path, model).tokens)
    write_json(
        tmp_path / "tokenizer_config.json",
        {"add_bos_token": False, "added_tokens_decoder": {
            str(size): {"content": "[PAD]", "special": True},
            str(size + 1): {"content": "▁a▁b", "special": False}}},
    )  # fmt: skip
    found = read(tmp_path, model, size + 3)
    assert found.tokens[size:] == ["[PAD]", " a b", f"[PAD{size + 2}]"]
    assert found.types[size:] == [TokenType.CONTROL, TokenType.USER_DEFINED, TokenType.UNUSED]
    assert len(found.scores) == size + 3
    assert not found.add_bos


def test_a_tokenizer_json_alone_gives_the_same_order_of_merges(
    tmp_path: Path, model: bytes
) -> None:
    own = read(tmp_path, model)
    (tmp_path / "tokenizer.model").unlink()
    write_json(tmp_path / "tokenizer.json", sentencepiece_json(model))
    found = read_tokenizer(tmp_path, ENDS, len(own.tokens))
    assert found.tokens == own.tokens
    assert (found.model, found.add_space) == ("llama", True)
    made = [n for n, score in enumerate(found.scores) if score > -1000]
    assert len(made) > 40
    in_order = sorted(made, key=lambda n: -found.scores[n])
    assert in_order == sorted(made, key=lambda n: (-own.scores[n], n))


def test_the_scores_are_those_of_the_model_where_both_are(tmp_path: Path, model: bytes) -> None:
    own = read(tmp_path, model)
    write_json(tmp_path / "tokenizer.json", sentencepiece_json(model))
    assert read(tmp_path, model).scores[3:] == own.scores[3:]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"model_type": "unigram"}, "its kind is unigram, not BPE"),
        ({"byte_fallback": False}, "it has no tokens for single bytes"),
        ({"normalization_rule_name": "nmt_nfkc"}, "it normalises text"),
        ({"remove_extra_whitespaces": True}, "it removes spaces"),
        ({"treat_whitespace_as_suffix": True}, "it has spaces at the ends of words"),
    ],
)
def test_other_kinds_are_refused_by_name(
    tmp_path: Path, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(InputError) as caught:
        read(tmp_path, sentencepiece_model(LINES, **options))
    assert caught.value.message == (
        f"{tmp_path / 'tokenizer.model'}: llama.cpp does not compute this SentencePiece tokenizer:"
        f" {words}"
    )


def test_damaged_files_are_one_line(tmp_path: Path, model: bytes) -> None:
    path = tmp_path / "tokenizer.model"
    for data in (b"", b"\xff" * 40, b"!" * 99, *(model[:n] for n in range(1, len(model), 97))):
        path.write_bytes(data)
        with pytest.raises(InputError) as caught:
            read_tokenizer(tmp_path, ENDS, 10_000)
        assert str(path) in caught.value.message
        assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"normalizer": {"type": "NFKC"}}, "normalises text by NFKC"),
        ({"pre_tokenizer": {"type": "Whitespace"}}, "splits text by Whitespace"),
        ({"pre_tokenizer": {"type": "Metaspace", "split": True}}, "splits text by Metaspace"),
    ],
)
def test_a_tokenizer_json_that_prepares_text_otherwise_is_refused(
    tmp_path: Path, model: bytes, changes: dict[str, Any], words: str
) -> None:
    write_json(tmp_path / "tokenizer.json", sentencepiece_json(model) | changes)
    with pytest.raises(InputError, match=words):
        read_tokenizer(tmp_path, ENDS, 1000)


@pytest.mark.parametrize(("scheme", "space"), [("first", True), ("always", True), ("never", False)])
def test_a_metaspace_that_does_not_split(
    tmp_path: Path, model: bytes, scheme: str, space: bool
) -> None:
    steps = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": False}
    changes = {"normalizer": None, "pre_tokenizer": steps}
    write_json(tmp_path / "tokenizer.json", sentencepiece_json(model) | changes)
    assert read_tokenizer(tmp_path, ENDS, 1000).add_space == space


@pytest.mark.parametrize("change", ["left out", "apart", "unknown", "too long", "number", "null"])
def test_merges_that_are_not_sentencepieces_are_refused(
    tmp_path: Path, model: bytes, change: str
) -> None:
    data = sentencepiece_json(model)
    merges = data["model"]["merges"]
    several = next(i for i, pair in enumerate(merges) if "".join(merges[i + 1]) == "".join(pair))
    if change == "left out":
        del merges[several]
    elif change == "apart":
        merges.append(merges.pop(several))
    else:
        wrong = {"unknown": ["▁", "qq"], "too long": ["▁", "a", "b"], "number": 5, "null": None}
        merges[0] = wrong[change]
    write_json(tmp_path / "tokenizer.json", data)
    with pytest.raises(InputError, match="merge") as caught:
        read_tokenizer(tmp_path, ENDS, 1000)
    assert caught.value.hint or "not a pair" in caught.value.message
