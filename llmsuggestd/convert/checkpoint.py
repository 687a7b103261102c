"""A checkpoint folder in Hugging Face layout: which files hold its tensors, and where.

Everything in the folder may come from a stranger. Names in an index are held to plain file names
of this folder, byte ranges to their files, and pickles are read by `unpickle`, which can make
tensors and nothing else.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llmsuggestd.convert.config import NeoXConfig, read_config
from llmsuggestd.convert.jsonfile import read_json_object
from llmsuggestd.convert.safetensors_file import read_safetensors
from llmsuggestd.convert.stored import StoredTensor
from llmsuggestd.convert.unpickle import read_pickle
from llmsuggestd.errors import InputError

# In the order transformers prefers them.
WEIGHTS = (("model.safetensors", read_safetensors), ("pytorch_model.bin", read_pickle))


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """An opened checkpoint: its configuration (parsed, and as it stands) and its tensors."""

    folder: Path
    config: NeoXConfig
    raw_config: Mapping[str, Any]
    tensors: dict[str, StoredTensor]


def open_checkpoint(folder: Path) -> Checkpoint:
    """Open a checkpoint folder: read its configuration and find its tensors.

    Raises `InputError` when it is no GPT-NeoX checkpoint, when a file is missing, cut short or
    names a file outside the folder, or when a pickle holds anything but tensors.
    """
    if not os.path.isdir(folder):  # noqa: PTH112 - which says no of what cannot be looked at
        what = "not a folder" if os.path.exists(folder) else "no such folder"  # noqa: PTH110
        raise InputError(f"{folder}: {what}", "Give the folder that has config.json.")
    config, raw = read_config(folder)
    return Checkpoint(folder, config, raw, _find_tensors(folder))


def _find_tensors(folder: Path) -> dict[str, StoredTensor]:
    for name, read in WEIGHTS:
        if (folder / name).exists():
            return read(folder / name)
        index = folder / f"{name}.index.json"
        if index.exists():
            tensors: dict[str, StoredTensor] = {}
            weight_map = _weight_map(index)
            for shard in sorted(set(weight_map.values())):
                held = read(folder / shard)
                tensors |= {k: v for k, v in held.items() if weight_map.get(k) == shard}
            for tensor, shard in weight_map.items():
                if tensor not in tensors:
                    raise InputError(f"{index}: {tensor} is said to be in {shard}, but is not")
            return tensors
    raise InputError(
        f"{folder}: no weights (neither model.safetensors nor pytorch_model.bin, nor their shards)",
        "Download the whole checkpoint.",
    )


def _weight_map(index: Path) -> dict[str, str]:
    """Read an index: tensor -> the file of this folder that holds it."""
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
                f"{index.parent / shard}: the shard is missing", "Download the whole checkpoint."
            )
    return weight_map
