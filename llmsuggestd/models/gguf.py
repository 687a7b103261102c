"""Reading and checking the header of a GGUF file.

The gguf package needs numpy and maps the file. The daemon, which lists models, must do neither.
Every number in the file is checked against the file's size before it is used.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, BinaryIO, Final

from llmsuggestd import filekind
from llmsuggestd.engine import architectures, tokenizer
from llmsuggestd.errors import InputError
from llmsuggestd.file_errors import unreadable

MAGIC: Final = b"GGUF"
GPT_NEOX: Final = "gptneox"
"""The architecture of llmstep's models, and of models that are converted here."""
ALIGNMENT: Final = 32

FILE_TYPES: Final = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K",
    11: "Q3_K_S", 12: "Q3_K_M", 13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S",
    17: "Q5_K_M", 18: "Q6_K", 19: "IQ2_XXS", 20: "IQ2_XS", 21: "Q2_K_S", 22: "IQ3_XS",
    23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL", 26: "IQ3_S", 27: "IQ3_M", 28: "IQ2_S", 29: "IQ2_M",
    30: "IQ4_XS", 31: "IQ1_M", 32: "BF16", 36: "TQ1_0", 37: "TQ2_0",
}  # fmt: skip
"""llama.cpp's names of `general.file_type` (llama.h, `enum llama_ftype`)."""

_SCALARS: Final = {
    0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q",
    12: "<d",
}  # fmt: skip
_INT32: Final = 5
_STRING: Final = 8
_ARRAY: Final = 9
_CHUNK: Final = 2**20
_HIGHEST_COUNT: Final = 2**20
"""Limit of keys and of tensors; real files have hundreds."""

_VOCABULARY_KEY: Final = "tokenizer.ggml.tokens"
_TYPES_KEY: Final = "tokenizer.ggml.token_type"
_ORDINARY: Final = 1
"""The type of a token that stands for text (llama.h, LLAMA_TOKEN_TYPE_NORMAL)."""
_VERSIONS: Final = {
    1: "version 1, which llama.cpp no longer reads",
    1 << 24: "version 1, for big-endian machines",
    2 << 24: "version 2, for big-endian machines",
    3 << 24: "version 3, for big-endian machines",
}
_NEWER: Final = "a version that is newer than this llama.cpp"
_ANOTHER: Final = "use another file of this model, or convert its checkpoint"

_TENSORS: Final = ("token_embd.weight", "output_norm.weight", "output_norm.bias", "output.weight")
_BLOCK_TENSORS: Final = (
    "attn_norm.weight", "attn_norm.bias", "attn_qkv.weight", "attn_qkv.bias", "attn_output.weight",
    "attn_output.bias", "ffn_norm.weight", "ffn_norm.bias", "ffn_up.weight", "ffn_up.bias",
    "ffn_down.weight", "ffn_down.bias",
)  # fmt: skip
"""The tensors that llama.cpp requires of a GPT-NeoX model."""


class TooShort(InputError):
    """The file ends within its header, as a partial download does."""


class WrongArchitecture(InputError):
    """The model has an architecture that cannot be served."""


@dataclass(frozen=True)
class Tensor:
    """A tensor as the header lists it: shape with the row length first, offset into the data."""

    name: str
    shape: tuple[int, ...]
    kind: int
    offset: int


@dataclass(frozen=True)
class Header:
    """A file without its tensors' data. For an array, `metadata` holds only the length."""

    metadata: dict[str, Any]
    tensors: list[Tensor]
    data_start: int
    file_bytes: int
    tokens: tuple[bytes, ...] = ()
    """The vocabulary, if requested."""
    token_types: tuple[int, ...] = ()
    """The type of each token (llama.h, `enum llama_token_type`), if requested and present."""

    @property
    def quantisation(self) -> str | None:
        """llama.cpp's name for the mix of types, such as `Q4_K_M`."""
        return FILE_TYPES.get(self.metadata.get("general.file_type", -1))

    def text(self, key: str) -> str | None:
        """A metadata value, if it exists and is text."""
        value = self.metadata.get(key)
        return value if isinstance(value, str) else None


def read_header(path: Path, *, vocabulary: bool = False) -> Header:
    """Read a file's header, and its `vocabulary` if requested.

    Raises InputError if it is no GGUF file, TooShort if it ends before its header does.
    """
    try:
        with path.open("rb") as file:
            return _Reader(path, file, vocabulary=vocabulary).header()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except OSError as error:
        raise unreadable(path, error) from None


def architecture(path: Path) -> str | None:
    """The architecture that the beginning of a file names; None if it does not.

    By convention it is the first key, so the beginning of a download is enough. Raises InputError
    if it is no GGUF file.
    """
    try:
        with path.open("rb") as file:
            return _Reader(path, file).first_text("general.architecture")
    except OSError as error:
        raise unreadable(path, error) from None


def check_architecture(name: str, found: str | None) -> None:
    """Raise WrongArchitecture if a file's architecture cannot be served; `name` is the file's."""
    if found in architectures.RECURRENT:
        message, hint = architectures.recurrent(found)
        raise WrongArchitecture(f"{name}: {message}", hint)


def check(path: Path) -> tuple[Header, list[str]]:
    """Check that a file is a complete model that can be served. Returns its header and warnings.

    Raises WrongArchitecture, or InputError for any other problem.
    """
    header = read_header(path, vocabulary=True)
    return header, check_header(header, str(path))


def check_header(header: Header, where: str) -> list[str]:
    """Check a header that was read with its vocabulary. Returns warnings.

    `where` names the file in errors. Raises the errors of `check`.
    """
    found = header.text("general.architecture")
    check_architecture(Path(where).name, found)
    if (parts := header.metadata.get("split.count", 1)) not in (0, 1):
        raise InputError(
            f"{where}: is one of {parts} parts of a model",
            "join them with llama.cpp's program `llama-gguf-split --merge`",
        )
    _check_extent(where, header)
    warnings = _check_tokenizer(where, header)
    if found == GPT_NEOX:
        _check_tensors(where, header)
    return warnings


def _check_extent(where: str, header: Header) -> None:
    """Check that the file is as long as its tensors need."""
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

    for tensor in header.tensors:
        try:
            block, size = GGML_QUANT_SIZES[GGMLQuantizationType(tensor.kind)]
        except (ValueError, KeyError):
            raise InputError(
                f"{where}: {tensor.name} is of a type this llama.cpp does not know ({tensor.kind})"
            ) from None
        end = header.data_start + tensor.offset + prod(tensor.shape) // block * size
        if end > header.file_bytes:
            raise InputError(
                f"{where}: cut short: {tensor.name} ends at byte {end} of a file of"
                f" {header.file_bytes}",
                "fetch it again",
            )


def repeated(tokens: Iterable[bytes]) -> bytes | None:
    """A token that occurs more than once, which would end llama.cpp's process; None without one.

    Empty tokens do not count: llama.cpp gives each a name.
    """
    return next((token for token, n in Counter(tokens).items() if n > 1 and token), None)


def _check_tokenizer(where: str, header: Header) -> list[str]:
    """Check that text is tokenised as for the model's training. Warns about missing values."""
    model, tokens = header.text(tokenizer.MODEL_KEY), header.tokens
    if model is None or not tokens:
        raise InputError(f"{where}: has no tokenizer", "it is not a whole model")
    if model == tokenizer.BYTE_LEVEL_BPE and not header.metadata.get("tokenizer.ggml.merges"):
        raise InputError(
            f"{where}: its tokenizer has no merges (tokenizer.ggml.merges)",
            "use another file, or convert its checkpoint again",
        )
    if (token := repeated(tokens)) is not None:
        raise InputError(
            f"{where}: two tokens are {token.decode(errors='replace')!r}",
            "use another file, or convert its checkpoint again",
        )
    rows = next((t.shape[-1] for t in header.tensors if t.name == "token_embd.weight"), len(tokens))
    if rows != len(tokens):
        raise InputError(f"{where}: has {len(tokens)} tokens, but embeddings for {rows}")
    numbers = {token: number for number, token in enumerate(tokens)}
    end = header.metadata.get(tokenizer.END_KEY)
    end = end if isinstance(end, int) and end >= 0 else None
    facts = tokenizer.Facts(
        header.text("general.architecture") or "",
        model,
        header.text(tokenizer.PRE_KEY) or "",
        end,
        len(tokens),
        end_is_text=end is not None and header.token_types[end : end + 1] == (_ORDINARY,),
    )
    try:
        found = tokenizer.corrections(facts, lambda text: numbers.get(text.encode()))
    except tokenizer.Unknown as error:
        raise InputError(f"{where}: {error}", error.hint) from None
    return [f"{key} is missing or wrong there; {value} is used" for key, value in found.items()]


def _check_tensors(where: str, header: Header) -> None:
    """Check that no tensor of a GPT-NeoX is missing."""
    found = {tensor.name for tensor in header.tensors}
    layers = header.metadata.get(f"{GPT_NEOX}.block_count")
    if not isinstance(layers, int) or not 0 < layers <= _HIGHEST_COUNT:
        raise InputError(f"{where}: does not say how many layers it has")
    wanted = [f"blk.{layer}.{part}" for layer in range(layers) for part in _BLOCK_TENSORS]
    for name in (*_TENSORS, *wanted):
        if name not in found:
            raise InputError(f"{where}: the tensor {name} is missing", "it is not a whole model")


class _Reader:
    """Reads a header from the start of a file, in pieces."""

    def __init__(self, path: Path, file: BinaryIO, *, vocabulary: bool = False) -> None:
        self._vocabulary = vocabulary
        self._tokens: tuple[bytes, ...] = ()
        self._types: tuple[int, ...] = ()
        self._path = path
        self._file = file
        self._bytes = path.stat().st_size
        self._data = bytearray()
        self._at = 0

    def first_text(self, key: str) -> str | None:
        """The value of the first key, if the key is `key` and the value text."""
        self._counts()
        if self._text() == key and self._number("<I") == _STRING:
            return self._text()
        return None

    def header(self) -> Header:
        """The whole header."""
        tensors, keys = self._counts()
        metadata = {}
        for _ in range(keys):
            key = self._text()
            kind = self._number("<I")
            if self._vocabulary and key == _VOCABULARY_KEY:
                metadata[key] = self._read_tokens(kind)
            elif self._vocabulary and key == _TYPES_KEY:
                metadata[key] = self._read_token_types(kind)
            else:
                metadata[key] = self._value(kind)
        listed = [self._tensor() for _ in range(tensors)]
        alignment = metadata.get("general.alignment", ALIGNMENT)
        if not isinstance(alignment, int) or not 0 < alignment <= _CHUNK:
            raise InputError(f"{self._path}: its alignment is {alignment}")
        data_start = -(-self._at // alignment) * alignment
        return Header(metadata, listed, data_start, self._bytes, self._tokens, self._types)

    def _counts(self) -> tuple[int, int]:
        """Read the beginning: the numbers of tensors and of keys."""
        if self._bytes < len(MAGIC) or self._take(len(MAGIC)) != MAGIC:
            raise filekind.refusal(self._path, filekind.GGUF)
        version: int = self._number("<I")
        if version not in (2, 3):
            raise InputError(f"{self._path}: is GGUF of {_VERSIONS.get(version, _NEWER)}", _ANOTHER)
        return self._count(), self._count()

    def _read_tokens(self, kind: int) -> int:
        """Read the vocabulary, an array of texts. Returns their number."""
        if (kind, self._number("<I")) != (_ARRAY, _STRING):
            raise InputError(f"{self._path}: is damaged: its tokens are not texts")
        length = self._length()
        self._tokens = tuple(self._take(self._number("<Q")) for _ in range(length))
        return length

    def _read_token_types(self, kind: int) -> int:
        """Read the types of the vocabulary's tokens, an array of numbers. Returns their number."""
        if (kind, self._number("<I")) != (_ARRAY, _INT32):
            raise InputError(f"{self._path}: is damaged: its tokens' types are not numbers")
        length = self._length()
        self._types = struct.unpack(f"<{length}i", self._take(4 * length))
        return length

    def _tensor(self) -> Tensor:
        name = self._text()
        dimensions = self._number("<I")
        if not 0 < dimensions <= 4:
            raise InputError(f"{self._path}: {name} has {dimensions} dimensions")
        shape = tuple(self._number("<Q") for _ in range(dimensions))
        return Tensor(name, shape, self._number("<I"), self._number("<Q"))

    def _value(self, kind: int) -> Any:
        if kind in _SCALARS:
            return self._number(_SCALARS[kind])
        if kind == _STRING:
            return self._text()
        if kind != _ARRAY:
            raise InputError(f"{self._path}: is damaged: a value of type {kind}")
        inner, length = self._number("<I"), self._length()
        if inner in _SCALARS:
            self._skip(length * struct.calcsize(_SCALARS[inner]))
        elif inner == _STRING:
            for _ in range(length):
                self._skip(self._number("<Q"))
        else:
            raise InputError(f"{self._path}: is damaged: an array of type {inner}")
        return length

    def _length(self) -> int:
        length: int = self._number("<Q")
        if length > self._bytes:
            raise TooShort(f"{self._path}: is cut short, or damaged: an array of {length} values")
        return length

    def _count(self) -> int:
        count: int = self._number("<Q")
        if count > _HIGHEST_COUNT:
            raise InputError(f"{self._path}: is damaged: it claims {count} entries")
        return count

    def _text(self) -> str:
        return self._take(self._number("<Q")).decode(errors="replace")

    def _number(self, form: str) -> Any:
        size = struct.calcsize(form)
        self._need(size)
        (value,) = struct.unpack_from(form, self._data, self._at)
        self._at += size
        return value

    def _take(self, count: int) -> bytes:
        self._need(count)
        self._at += count
        return bytes(self._data[self._at - count : self._at])

    def _skip(self, count: int) -> None:
        self._need(count)
        self._at += count

    def _need(self, count: int) -> None:
        """Read until the next `count` bytes are in memory."""
        missing = self._at + count - len(self._data)
        if missing <= 0:
            return
        if self._at + count > self._bytes:
            raise TooShort(f"{self._path}: is cut short, or damaged", "fetch it again")
        self._data += self._file.read(max(missing, _CHUNK))
        if self._at + count > len(self._data):
            raise InputError(f"{self._path}: became shorter while it was read")
