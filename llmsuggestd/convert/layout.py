"""GPT-NeoX's tensors: their names in a checkpoint and in GGUF, and the order of their rows.

The GGUF names are those of `gguf.MODEL_ARCH.GPTNEOX`. Rows keep their order, except in one tensor:
Hugging Face stores query, key and value of each head together, as (head, 3, channel). llama.cpp
expects all queries, then all keys, then all values, as (3, head, channel).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from llmsuggestd.convert.config import NeoXConfig
from llmsuggestd.convert.stored import FLOAT_TYPES, StoredTensor
from llmsuggestd.errors import InputError

# Buffers in old checkpoints, which are not needed.
BUFFERS = (".attention.bias", ".attention.masked_bias", ".rotary_emb.inv_freq")


@dataclass(frozen=True, slots=True)
class ModelTensor:
    """A tensor of the GGUF file, and the source of its values.

    `source` is None for zeros: a bias that the checkpoint lacks and llama.cpp requires. `regroup`
    is the number of channels per head if query, key and value rows must be reordered, else 0.
    """

    name: str
    shape: tuple[int, ...]
    source: StoredTensor | None
    regroup: int = 0

    def source_rows(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        """Yield the ranges of source rows that form rows `start` to `stop`, in order."""
        if not self.regroup:
            yield start, stop
            return
        group = self.regroup
        heads = self.shape[0] // (3 * group)
        while start < stop:
            block, row = divmod(start, group)
            which, head = divmod(block, heads)
            count = min(group - row, stop - start)
            first = (head * 3 + which) * group + row
            yield first, first + count
            start += count


@dataclass(frozen=True, slots=True)
class Slot:
    """A tensor that the GGUF file must have, and its name in the checkpoint.

    If it is `optional` and the checkpoint lacks it, zeros are written. For `regroup` see
    `ModelTensor`.
    """

    name: str
    source: str
    shape: tuple[int, ...]
    regroup: int = 0
    optional: bool = False


def slots(config: NeoXConfig) -> list[Slot]:
    """The tensors of the GGUF file, in their order."""
    hidden, wide = config.hidden, config.feed_forward
    no_bias = not config.attention_bias
    result = [Slot("token_embd.weight", "gpt_neox.embed_in.weight", (config.vocab, hidden))]
    for layer in range(config.layers):
        ours, theirs = f"blk.{layer}", f"gpt_neox.layers.{layer}"
        norm, attention = f"{theirs}.input_layernorm", f"{theirs}.attention"
        norm2, mlp = f"{theirs}.post_attention_layernorm", f"{theirs}.mlp"
        joint, dense = f"{attention}.query_key_value", f"{attention}.dense"
        up, down = f"{mlp}.dense_h_to_4h", f"{mlp}.dense_4h_to_h"
        group = config.head_dim
        result += [
            Slot(f"{ours}.attn_norm.weight", f"{norm}.weight", (hidden,)),
            Slot(f"{ours}.attn_norm.bias", f"{norm}.bias", (hidden,)),
            Slot(f"{ours}.attn_qkv.weight", f"{joint}.weight", (3 * hidden, hidden), group),
            Slot(f"{ours}.attn_qkv.bias", f"{joint}.bias", (3 * hidden,), group, no_bias),
            Slot(f"{ours}.attn_output.weight", f"{dense}.weight", (hidden, hidden)),
            Slot(f"{ours}.attn_output.bias", f"{dense}.bias", (hidden,), optional=no_bias),
            Slot(f"{ours}.ffn_norm.weight", f"{norm2}.weight", (hidden,)),
            Slot(f"{ours}.ffn_norm.bias", f"{norm2}.bias", (hidden,)),
            Slot(f"{ours}.ffn_up.weight", f"{up}.weight", (wide, hidden)),
            Slot(f"{ours}.ffn_up.bias", f"{up}.bias", (wide,)),
            Slot(f"{ours}.ffn_down.weight", f"{down}.weight", (hidden, wide)),
            Slot(f"{ours}.ffn_down.bias", f"{down}.bias", (hidden,)),
        ]
    # llama.cpp's GPT-NeoX does not support tied embeddings, so the matrix is written twice. If the
    # configuration ties them, a stored output matrix is ignored, as in transformers.
    output = "gpt_neox.embed_in.weight" if config.tied else "embed_out.weight"
    result += [
        Slot("output_norm.weight", "gpt_neox.final_layer_norm.weight", (hidden,)),
        Slot("output_norm.bias", "gpt_neox.final_layer_norm.bias", (hidden,)),
        Slot("output.weight", output, (config.vocab, hidden)),
    ]
    return result


def model_tensors(
    config: NeoXConfig, stored: Mapping[str, StoredTensor], where: str
) -> list[ModelTensor]:
    """The tensors of the GGUF file, in their order, with their sources.

    Raises `InputError` if a tensor is missing, has another shape, is not of a float type, or is not
    part of GPT-NeoX. `where` names the checkpoint in errors.
    """
    wanted = slots(config)
    known = {slot.source for slot in wanted} | {"embed_out.weight"}
    result = []
    for slot in wanted:
        if slot.optional and slot.source not in stored:
            result.append(ModelTensor(slot.name, slot.shape, None))
        else:
            source = _checked(stored, slot.source, slot.shape, where)
            result.append(ModelTensor(slot.name, slot.shape, source, slot.regroup))
    for name in stored:
        if name not in known and not name.endswith(BUFFERS):
            raise InputError(
                f"{where}: {name} is not a tensor of a {config.layers}-layer GPT-NeoX",
                "check that config.json belongs to this model",
            )
    return result


def _checked(
    stored: Mapping[str, StoredTensor], name: str, shape: tuple[int, ...], where: str
) -> StoredTensor:
    tensor = stored.get(name)
    if tensor is None:
        raise InputError(
            f"{where}: the tensor {name} is missing",
            "check that the checkpoint is complete, and not only a part of a model",
        )
    if tensor.shape != shape:
        raise InputError(
            f"{tensor.path}: {name} has shape {list(tensor.shape)}, config.json says {list(shape)}"
        )
    if tensor.dtype not in FLOAT_TYPES:
        raise InputError(
            f"{tensor.path}: {name} is {tensor.dtype}; only F32, F16 and BF16 can be converted"
        )
    return tensor
