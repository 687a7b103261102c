"""Converts a checkpoint to a GGUF file in one pass, without an intermediate file.

Each tensor is divided into runs of rows. Threads read a run, convert it to float32, check it and
quantise it. The main thread writes the results in order. Only a few runs are in memory, whatever
the model's size.
"""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import chain, count, islice
from math import prod
from pathlib import Path
from queue import SimpleQueue
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from gguf import GGMLQuantizationType, GGUFWriter

from llmsuggestd.convert.architectures import read_model
from llmsuggestd.convert.checkpoint import Checkpoint, open_checkpoint
from llmsuggestd.convert.gguf_file import TensorInfo, padded_size, write_header, write_tensor
from llmsuggestd.convert.layout import ModelTensor, model_tensors
from llmsuggestd.convert.metadata import Source, find_source, make_writer
from llmsuggestd.convert.quantize import library, quantize_rows, row_bytes
from llmsuggestd.convert.recipe import RECIPES, Recipe, tensor_type
from llmsuggestd.convert.tokenizer import Tokenizer, read_tokenizer
from llmsuggestd.engine.threads import granted_processors
from llmsuggestd.errors import InputError, LlmsuggestdError, UsageError
from llmsuggestd.files import replacing
from llmsuggestd.formats import Format
from llmsuggestd.quants import DEFAULT_QUANT
from llmsuggestd.units import size_text

# Elements of one run: enough that starting it costs little compared with quantising it, and few
# enough that the runs in memory (4 bytes per element, and copies) stay far below 100 MB.
RUN_ELEMENTS = 2**20

# Bytes that stay free on the target's disk beyond the file itself.
SPARE_BYTES = 16 * 2**20

NO_FORMAT = (
    "the file does not name its model's prompt format: give it with --format, now or to"
    " `llmsuggestd models import`"
)

Progress = Callable[[int, int], None]
"""Called with the number of converted weights, and the number of all weights."""

Run = tuple[ModelTensor, GGMLQuantizationType, int, int]
"""A tensor, its new type, and the rows to encode: the first, and the one after the last."""

Encoded = npt.NDArray[np.uint8]
"""A run as ggml data, of shape (rows, bytes per row)."""


@dataclass(frozen=True, slots=True)
class Summary:
    """The result of a conversion.

    `bytes` is the file's size, `tensor_types` the number of tensors of each type. Each of the
    `warnings` is one line.
    """

    output: Path
    quant: str
    bytes: int
    parameters: int
    tensor_types: dict[str, int]
    seconds: float
    warnings: list[str]

    def to_dict(self) -> dict[str, Any]:
        """The summary as `--json` prints it."""
        return {**asdict(self), "output": str(self.output)}


def convert(
    checkpoint: Path,
    output: Path,
    quant: str = DEFAULT_QUANT,
    *,
    prompt_format: Format | None = None,
    name: str | None = None,
    source: Source | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Summary:
    """Convert a checkpoint folder to the GGUF file `output`.

    `quant` is one of `RECIPES`, `prompt_format` the format of the model's prompts (by default that
    of its architecture, if there is one), `name` the model's name in the metadata (by default the
    folder's), `source` its repository and commit, and `threads` the number of quantising threads
    (by default all cores). An existing `output` is replaced once the new file is complete. It stays
    unchanged if anything fails or the conversion is interrupted.

    Raises `InputError` for a checkpoint that cannot be converted, `UsageError` for an unknown
    `quant`, and `LlmsuggestdError` if the output cannot be written. Does not catch
    `KeyboardInterrupt` and `SystemExit`.
    """
    started = time.monotonic()
    recipe = _recipe(quant)
    opened = open_checkpoint(checkpoint)
    model = opened.model
    prompt_format = prompt_format or model.prompt_format
    tensors = model_tensors(
        model.slots(),
        opened.tensors,
        str(checkpoint),
        model=f"{model.layers}-layer {model.title}",
        unused=[model.names.output],
    )
    tokenizer = read_tokenizer(checkpoint, opened.config.raw, model.vocab)
    library()  # raises an error before any work if it is missing
    infos = [
        TensorInfo(t.name, t.shape, tensor_type(recipe, t.name, t.shape, model.traits))
        for t in tensors
    ]
    parameters = sum(prod(tensor.shape) for tensor in tensors)
    writer = make_writer(
        opened,
        tokenizer,
        recipe,
        prompt_format=prompt_format,
        name=name or checkpoint.resolve().name,
        source=source or find_source(checkpoint),
        parameters=parameters,
    )
    _check_output(output, opened, padded_size(infos) + _metadata_bytes(tokenizer))
    with replacing(output) as partial, _closing(writer):
        file = write_header(writer, partial, infos)
        _write_tensors(file, tensors, infos, threads or default_threads(), progress)
    return Summary(
        output=output,
        quant=recipe.name,
        bytes=output.stat().st_size,
        parameters=parameters,
        tensor_types=dict(Counter(info.kind.name for info in infos)),
        seconds=round(time.monotonic() - started, 3),
        warnings=opened.warnings + tokenizer.warnings + ([] if prompt_format else [NO_FORMAT]),
    )


def expected_bytes(checkpoint: Path, quant: str = DEFAULT_QUANT) -> int:
    """The size of the converted file, or a megabyte or two more.

    This needs only config.json and tokenizer.json, not the weights. Raises `InputError` if one of
    the two cannot be used, `UsageError` for an unknown `quant`.
    """
    recipe = _recipe(quant)
    model, config = read_model(checkpoint)
    infos = [
        TensorInfo(s.name, s.shape, tensor_type(recipe, s.name, s.shape, model.traits))
        for s in model.slots()
    ]
    tokenizer = read_tokenizer(checkpoint, config.raw, model.vocab)
    return padded_size(infos) + _metadata_bytes(tokenizer)


def _write_tensors(
    file: BinaryIO,
    tensors: Sequence[ModelTensor],
    infos: Sequence[TensorInfo],
    threads: int,
    progress: Progress | None,
) -> None:
    """Encode and write all tensors, in order."""
    runs = [_runs(tensor, info.kind) for tensor, info in zip(tensors, infos, strict=True)]
    done, total = 0, sum(prod(tensor.shape) for tensor in tensors)
    with _Workers(threads) as workers:
        # One stream over all tensors, so that no thread waits for the end of a tensor.
        encoded = workers.encode(chain.from_iterable(runs))
        for info, parts in zip(infos, runs, strict=True):
            columns = prod(info.shape[1:])
            width = row_bytes(info.kind, columns)
            for size in write_tensor(file, info, islice(encoded, len(parts))):
                done += size // width * columns
                if progress:
                    progress(done, total)


def default_threads() -> int:
    """The number of processors that this process may use, limited by its control group."""
    return max(1, granted_processors())


def _recipe(quant: str) -> Recipe:
    recipe = RECIPES.get(quant.upper())
    if recipe is None:
        raise UsageError(f"unknown quantisation {quant!r}", f"give one of {', '.join(RECIPES)}")
    return recipe


def _metadata_bytes(tokenizer: Tokenizer) -> int:
    """An upper bound of the metadata's size. Most of it is the tokenizer's tables."""
    texts = sum(len(text.encode()) + 16 for text in (*tokenizer.tokens, *tokenizer.merges))
    return texts + 2**20


def _check_output(output: Path, checkpoint: Checkpoint, needed: int) -> None:
    """Check, before any work, that the file can be written there and fits on the disk."""
    # os.path's tests are also false without permission. Opening the file then explains that.
    if os.path.isdir(output):  # noqa: PTH112
        raise LlmsuggestdError(f"{output}: is a folder", "give the name of a file")
    if not os.path.isdir(output.parent):  # noqa: PTH112
        raise LlmsuggestdError(f"{output.parent}: no such folder", "make it first")
    if os.path.exists(output):  # noqa: PTH110
        if not output.is_file():  # for example a device, which a file would replace
            raise LlmsuggestdError(f"{output}: is not a regular file", "give the name of a file")
        files = [path for path in checkpoint.folder.iterdir() if path.suffix != ".gguf"]
        if any(path.exists() and output.samefile(path) for path in files):
            raise LlmsuggestdError(f"{output}: is a file of the checkpoint itself")
    free = shutil.disk_usage(output.parent).free
    if free < needed + SPARE_BYTES:
        raise LlmsuggestdError(
            f"{output.parent}: not enough room: the file needs {size_text(needed)},"
            f" {size_text(free)} are free",
            "make room, or choose another place",
        )


@contextmanager
def _closing(writer: GGUFWriter) -> Iterator[None]:
    """Close the writer's file in any case, since Windows cannot rename or remove an open file."""
    try:
        yield
    finally:
        for file in writer.fout or ():
            file.close()


class _Workers:
    """Threads that encode runs of rows. Results come in order, and a limited number ahead.

    A signal can raise an exception between any two instructions of the main thread, also in a
    `Future`, which then stays locked, so that its thread would never end. The queues here are
    written in C and cannot be left locked.
    """

    def __init__(self, threads: int) -> None:
        self._todo: SimpleQueue[tuple[int, Run] | None] = SimpleQueue()
        self._done: SimpleQueue[tuple[int, Encoded | Exception]] = SimpleQueue()
        self._ahead = 2 * threads
        self._stopping = False
        self._threads = [
            threading.Thread(target=self._work, name=f"quantise_{i}", daemon=True)
            for i in range(threads)
        ]

    def __enter__(self) -> _Workers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        # Runs in progress take a fraction of a second. The others are skipped.
        self._stopping = True
        for _thread in self._threads:
            self._todo.put(None)
        for thread in self._threads:
            thread.join()

    def encode(self, runs: Iterable[Run]) -> Iterator[Encoded]:
        """Yield the data of each run, in order."""
        remaining = enumerate(runs)
        given = 0
        results: dict[int, Encoded | Exception] = {}
        for wanted in count():
            for task in islice(remaining, wanted + self._ahead - given):
                self._todo.put(task)
                given += 1
            if wanted == given:
                return
            while wanted not in results:
                number, result = self._done.get()
                results[number] = result
            result = results.pop(wanted)
            if isinstance(result, Exception):
                raise result
            yield result

    def _work(self) -> None:
        while (task := self._todo.get()) is not None:
            if self._stopping:
                continue
            number, run = task
            try:
                self._done.put((number, encode_rows(*run)))
            except Exception as error:
                self._done.put((number, error))


def _runs(tensor: ModelTensor, kind: GGMLQuantizationType) -> list[Run]:
    """Divide a tensor into runs of rows."""
    rows = max(1, RUN_ELEMENTS // prod(tensor.shape[1:]))
    return [
        (tensor, kind, start, min(start + rows, tensor.shape[0]))
        for start in range(0, tensor.shape[0], rows)
    ]


def encode_rows(tensor: ModelTensor, kind: GGMLQuantizationType, start: int, stop: int) -> Encoded:
    """Encode rows `start` to `stop` of a tensor as ggml data, of shape (rows, bytes per row).

    Matrices of any type are converted to float16 first, so the result has the same bits as
    quantising the F16 file. Vectors stay float32.

    Raises `InputError` for NaN or infinity, and for values that float16 cannot hold.
    """
    source = tensor.source
    if source is None:
        values = np.array(tensor.values or [0.0] * tensor.shape[0], np.float32)
        return values[start:stop, np.newaxis].view(np.uint8)
    raw = tensor.read(start, stop)
    values = _to_float32(raw, source.dtype)
    if not np.isfinite(values).all():
        raise _not_finite(tensor)
    if kind is GGMLQuantizationType.F32:
        return np.ascontiguousarray(values).view(np.uint8)
    half = raw if source.dtype == "F16" else _to_half(values, tensor)
    if kind is GGMLQuantizationType.F16:
        return np.ascontiguousarray(half).view(np.uint8)
    if half is not raw:
        values = half.astype(np.float32)
    try:
        return quantize_rows(values, kind)
    except ValueError as error:
        raise InputError(f"{source.path}: {source.name}: {error}") from None


def _to_float32(raw: npt.NDArray[np.generic], dtype: str) -> npt.NDArray[np.float32]:
    if dtype == "BF16":  # the upper half of a float32
        return (raw.astype(np.uint32) << 16).view(np.float32)
    return raw.astype(np.float32, copy=False)


def _to_half(values: npt.NDArray[np.float32], tensor: ModelTensor) -> npt.NDArray[np.float16]:
    with np.errstate(over="ignore"):
        half = values.astype(np.float16)
    if not np.isfinite(half).all():
        source = tensor.source
        assert source is not None
        raise InputError(
            f"{source.path}: {source.name} has values beyond float16's 65504",
            "no weights of a working model are that large: download the checkpoint again",
        )
    return half


def _not_finite(tensor: ModelTensor) -> InputError:
    source = tensor.source
    assert source is not None
    return InputError(
        f"{source.path}: {source.name} has NaN or infinity",
        "the checkpoint is damaged, or its training diverged",
    )
