"""Opens a checkpoint folder in Hugging Face layout, and finds its tensors.

Everything in the folder may come from a stranger. Names in an index must be plain names of files in
this folder, byte ranges must be inside their files, and pickles are read by `unpickle`, which can
make only tensors.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from llmsuggestd import filekind
from llmsuggestd.convert.architectures import read_model
from llmsuggestd.convert.config import Config
from llmsuggestd.convert.files import (
    WEIGHTS,
    adapter_refusal,
    check_names,
    unindexed_shards,
    weights_of,
)
from llmsuggestd.convert.jsonfile import read_json_object
from llmsuggestd.convert.model import Model
from llmsuggestd.convert.names import plain_names
from llmsuggestd.convert.safetensors_file import read_safetensors
from llmsuggestd.convert.stored import StoredTensor
from llmsuggestd.convert.unpickle import read_pickle
from llmsuggestd.errors import InputError
from llmsuggestd.file_errors import unreadable

Reader = Callable[[Path], dict[str, StoredTensor]]

READERS: dict[str, Reader] = dict(zip(WEIGHTS, (read_safetensors, read_pickle), strict=True))


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """An opened checkpoint: its model, its configuration, and its tensors.

    Tensors have transformers' names. Each of the `warnings` is one line.
    """

    folder: Path
    model: Model
    config: Config
    tensors: dict[str, StoredTensor]
    warnings: list[str]


def open_checkpoint(folder: Path) -> Checkpoint:
    """Open a checkpoint folder: read its configuration, and find its tensors.

    Raises `InputError` if it is not a checkpoint, or an adapter, or quantised; if a file
    is missing, truncated, of another kind, or names a file outside the folder; or if a pickle has
    anything except tensors.
    """
    if not os.path.isdir(folder):  # noqa: PTH112 - false also without permission
        if os.path.exists(folder):  # noqa: PTH110
            raise filekind.refusal(folder, "a folder with a config.json")
        raise InputError(f"{folder}: no such folder", "give the folder that has config.json")
    names = _names(folder)
    if "adapter_config.json" in names and not weights_of(names):
        raise _adapter(folder)
    check_names(str(folder), names)
    model, config = read_model(folder)
    tensors, warnings = plain_names(_find_tensors(folder, names), str(folder), model.names)
    if "adapter_config.json" in names:
        warnings.append("left out the adapter beside the weights (adapter_config.json)")
    return Checkpoint(folder, model, config, tensors, warnings)


def _names(folder: Path) -> list[str]:
    """The names in a folder, and those of the config.json files one level below."""
    try:
        below = [f"{path.parent.name}/{path.name}" for path in sorted(folder.glob("*/config.json"))]
        return [*sorted(path.name for path in folder.iterdir()), *below]
    except OSError as error:
        raise unreadable(folder, error) from None


def _adapter(folder: Path) -> InputError:
    """The error about an adapter, with the details in its own file."""
    settings = read_json_object(folder / "adapter_config.json")
    kind, base = settings.get("peft_type"), settings.get("base_model_name_or_path")
    return adapter_refusal(
        str(folder), str(kind) if kind else "LoRA", str(base) if base is not None else ""
    )


def _find_tensors(folder: Path, names: Sequence[str]) -> dict[str, StoredTensor]:
    for name, read in READERS.items():
        if name in names:
            return read(folder / name)
        index = folder / f"{name}.index.json"
        if index.name in names:
            return _read_shards(index, read)
        if shards := unindexed_shards(str(folder), names, name):
            return _read_all(folder, shards, read)
    raise AssertionError("check_names has found weights")


def _read_shards(index: Path, read: Reader) -> dict[str, StoredTensor]:
    tensors: dict[str, StoredTensor] = {}
    weight_map = _weight_map(index)
    for shard in sorted(set(weight_map.values())):
        held = read(index.parent / shard)
        tensors |= {k: v for k, v in held.items() if weight_map.get(k) == shard}
    for tensor, shard in weight_map.items():
        if tensor not in tensors:
            raise InputError(f"{index}: {tensor} is said to be in {shard}, but is not")
    return tensors


def _read_all(folder: Path, shards: Sequence[str], read: Reader) -> dict[str, StoredTensor]:
    """Read shards without an index, since their headers have the same information."""
    tensors: dict[str, StoredTensor] = {}
    for shard in shards:
        held = read(folder / shard)
        for name in held:
            if name in tensors:
                raise InputError(f"{folder / shard}: {name} is in {tensors[name].path.name}, too")
        tensors |= held
    return tensors


def _weight_map(index: Path) -> dict[str, str]:
    """Read an index: for each tensor, the file in this folder that has it."""
    weight_map = read_json_object(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise InputError(f"{index}: no weight_map")
    for tensor, shard in weight_map.items():
        # Only a bare name stays in the folder on every system: no separators, no drive, no dots.
        if (
            not isinstance(shard, str)
            or not shard
            or shard in {".", ".."}
            or set(shard) & set("/\\:\0")
        ):
            raise InputError(
                f"{index}: {tensor} is said to be in {shard!r}, which is not a file of this folder"
            )
        if not (index.parent / shard).is_file():
            raise InputError(
                f"{index.parent / shard}: the shard is missing", "download the whole checkpoint"
            )
    return weight_map
