"""Reading and checking the headers of GGUF files, and of other files."""

from __future__ import annotations

import contextlib
import struct
import time
from pathlib import Path

import pytest
from gguf import GGUFReader, GGUFWriter, LlamaFileType
from hypothesis import given, settings
from hypothesis import strategies as st

from llmsuggestd.convert import convert
from llmsuggestd.errors import InputError
from llmsuggestd.models import gguf
from llmsuggestd.models.store import SHIPPED
from tests.support.gguf_models import edited_starter
from tests.unit.convert.checkpoints import make_checkpoint


def entry(token: str) -> bytes:
    """A token's entry in the vocabulary."""
    return struct.pack("<Q", len(token)) + token.encode()


def end(token: int) -> bytes:
    """The end token's entry in a header."""
    return b"ggml.eos_token_id" + struct.pack("<II", 4, token)


EXACT, INTRO = entry("exact"), entry("intro")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete model of less than a megabyte."""
    folder = tmp_path_factory.mktemp("small")
    convert(make_checkpoint(folder / "checkpoint"), folder / "small.gguf")
    return folder / "small.gguf"


def test_headers_are_read_as_the_gguf_package_reads_them() -> None:
    header, reader = gguf.read_header(SHIPPED), GGUFReader(SHIPPED)
    for key, field in reader.fields.items():
        if not key.startswith("GGUF."):
            contents = field.contents()
            expected = len(contents) if isinstance(contents, list) else contents
            assert header.metadata[key] == expected, key
    assert [(t.name, t.shape, t.kind) for t in header.tensors] == [
        (t.name, tuple(int(n) for n in t.shape), int(t.tensor_type)) for t in reader.tensors
    ]
    assert {header.data_start + t.offset for t in header.tensors} == {
        int(t.data_offset) for t in reader.tensors
    }
    assert gguf.architecture(SHIPPED) == "gptneox"
    assert header.tokens == ()
    tokens = gguf.read_header(SHIPPED, vocabulary=True).tokens
    assert [token.decode() for token in tokens] == reader.fields["tokenizer.ggml.tokens"].contents()


def test_the_starter_is_a_whole_model() -> None:
    header, warnings = gguf.check(SHIPPED)
    assert warnings == []
    assert header.quantisation


def test_names_of_quantisations_are_llama_cpps() -> None:
    for number, name in gguf.FILE_TYPES.items():
        known = LlamaFileType(number).name.removeprefix("MOSTLY_").removeprefix("ALL_")
        assert known == name


def test_any_architecture_with_a_kv_cache_is_accepted(tmp_path: Path) -> None:
    path = edited_starter(tmp_path, (b"gptneox", b"gptneoy"))
    assert gguf.architecture(path) == "gptneoy"
    gguf.check(path)


def test_a_recurrent_architecture_is_refused_by_name(tmp_path: Path) -> None:
    for name in ("mamba", "rwkv7", "jamba"):
        path = tmp_path / f"{name}.gguf"
        writer = GGUFWriter(path, name)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.close()
        with pytest.raises(gguf.WrongArchitecture) as caught:
            gguf.check(path)
        assert caught.value.message.startswith(f"{name}.gguf: its architecture, {name}, keeps one")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (b"GGUF", b"GGML", "is not a GGUF file"),
        (b"GGUF\3\0\0\0", b"GGUF\0\0\0\3", "version 3, for big-endian machines"),
        (b"GGUF\3\0\0\0", b"GGUF\1\0\0\0", "version 1, which llama.cpp no longer reads"),
        (b"GGUF\3\0\0\0", b"GGUF\4\0\0\0", "a version that is newer than this llama.cpp"),
        (b"tokenizer.ggml.model", b"tokenizer.ggml.other", "has no tokenizer"),
        (b"tokenizer.ggml.tokens", b"tokenizer.ggml.others", "has no tokenizer"),
        (b"tokenizer.ggml.merges", b"tokenizer.ggml.others", "its tokenizer has no merges"),
        (b"olmo", b"dbrx", "its text is split as by dbrx"),
        (EXACT, INTRO, "two tokens are 'intro'"),
        (b"output_norm.bias", b"output_norm.biaz", r"output_norm\.bias is missing"),
        (b"blk.0.ffn_up.weight", b"blk.0.ffn_zp.weight", r"blk\.0\.ffn_up\.weight is missing"),
        (b"gptneox.block_count", b"gptneox.block_coUnt", "how many layers"),
    ],
)
def test_each_problem_is_named(tmp_path: Path, old: bytes, new: bytes, words: str) -> None:
    with pytest.raises(InputError, match=words):
        gguf.check(edited_starter(tmp_path, (old, new)))


def test_a_large_vocabulary_is_checked_quickly() -> None:
    tokens = [b"%d" % i for i in range(200_000)]
    began = time.process_time()
    assert gguf.repeated([*tokens, tokens[-1]]) == tokens[-1]
    assert gguf.repeated([*tokens, b"", b""]) is None
    assert time.process_time() - began < 2


@pytest.mark.parametrize(
    ("old", "new", "warning"),
    [
        (b"tokenizer.ggml.pre", b"tokenizer.ggml.prE", "tokenizer.ggml.pre is missing or wrong"),
        (b"ggml.eos_token_id", b"ggml.eos_tokeN_id", "eos_token_id is missing or wrong there; 0"),
        (end(0), end(99_999), "eos_token_id is missing or wrong there; 0 is used"),
        (end(0), end(65), "eos_token_id is missing or wrong there; 0 is used"),
    ],
)
def test_a_missing_part_of_the_tokenizer_is_a_warning(
    tmp_path: Path, old: bytes, new: bytes, warning: str
) -> None:
    _, warnings = gguf.check(edited_starter(tmp_path, (old, new)))
    assert len(warnings) == 1
    assert warning in warnings[0]


@settings(max_examples=40, deadline=None)
@given(share=st.floats(0, 0.9999))
def test_a_file_that_is_cut_short_is_noticed(small: Path, share: float) -> None:
    data = small.read_bytes()
    cut = small.with_name("cut.gguf")
    cut.write_bytes(data[: int(share * (len(data) - 64))])
    with pytest.raises(InputError, match=r"cut short|is empty|is text"):
        gguf.check(cut)


@settings(max_examples=40, deadline=None)
@given(position=st.integers(0, 15_000), value=st.integers(0, 255))
def test_a_damaged_header_is_read_or_refused(small: Path, position: int, value: int) -> None:
    data = bytearray(small.read_bytes())
    data[position] = value
    damaged = small.with_name("damaged.gguf")
    damaged.write_bytes(data)
    with contextlib.suppress(InputError):  # no other error
        gguf.check(damaged)


def test_counts_beyond_reason_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 2**60, 2**60))
    with pytest.raises(InputError, match="claims"):
        gguf.read_header(path)


def test_a_tensor_without_dimensions_is_refused(tmp_path: Path) -> None:
    name = b"token_embd.weight"
    change = (name + struct.pack("<I", 2), name + struct.pack("<I", 0))
    path = edited_starter(tmp_path, change)  # the other tensors are not read
    with pytest.raises(InputError, match=r"token_embd\.weight has 0 dimensions"):
        gguf.read_header(path)


def test_a_part_of_a_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "part.gguf"
    writer = GGUFWriter(path, "gptneox")
    writer.add_uint16("split.count", 3)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    with pytest.raises(InputError, match="is one of 3 parts"):
        gguf.check(path)
