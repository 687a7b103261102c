"""The order of rows in the checkpoint's tensors and in GGUF's."""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmsuggestd.convert.architectures import parse_model
from llmsuggestd.convert.config import Config
from llmsuggestd.convert.layout import ModelTensor, Swap
from llmsuggestd.convert.layout import model_tensors as checked_tensors
from llmsuggestd.convert.stored import StoredTensor, contiguous_strides
from llmsuggestd.errors import InputError
from tests.unit.convert.checkpoints import config, random_weights


def model_tensors(settings: dict[str, object], held: dict[str, StoredTensor]) -> list[ModelTensor]:
    """The tensors of the file that a checkpoint becomes."""
    model = parse_model(Config(settings, "c"))
    kind = f"{model.layers}-layer {model.title}"
    return checked_tensors(model.slots(), held, "c", model=kind, unused=[model.names.output])


@given(
    groups=st.integers(1, 3),
    first=st.integers(1, 5),
    second=st.integers(1, 5),
    size=st.integers(1, 4),
    cuts=st.lists(st.integers(0, 90), max_size=4),
)
def test_rows_are_swapped(groups: int, first: int, second: int, size: int, cuts: list[int]) -> None:
    rows = np.arange(groups * first * second * size)
    expected = rows.reshape(groups, first, second, size).swapaxes(1, 2).reshape(-1)
    borders = sorted({0, len(rows), *(cut for cut in cuts if cut < len(rows))})
    swap = Swap(groups, first, second, size)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "values"
        rows.astype("<f4").tofile(path)
        source = StoredTensor("x", path, 0, "F32", (len(rows),), (1,))
        tensor = ModelTensor("x", (len(rows),), source, swap)
        found = [tensor.read(start, stop) for start, stop in itertools.pairwise(borders)]
    assert np.concatenate(found)[:, 0].tolist() == expected.tolist()


def stored(settings: dict[str, object]) -> dict[str, StoredTensor]:
    """The tensors of a checkpoint, except for one."""
    return {
        name: StoredTensor(name, Path("f"), 0, "F16", value.shape, contiguous_strides(value.shape))
        for name, value in random_weights(settings).items()
    }


def test_every_tensor_finds_its_place() -> None:
    settings = config()
    tensors = model_tensors(settings, stored(settings))
    names = [tensor.name for tensor in tensors]
    assert len(set(names)) == len(names) == 2 * 12 + 4
    pairs = {tensor.name: tensor.source.name for tensor in tensors if tensor.source}
    assert pairs["token_embd.weight"] == "gpt_neox.embed_in.weight"
    assert pairs["output.weight"] == "embed_out.weight"
    assert pairs["output_norm.bias"] == "gpt_neox.final_layer_norm.bias"
    assert pairs["blk.1.attn_norm.weight"] == "gpt_neox.layers.1.input_layernorm.weight"
    assert pairs["blk.1.ffn_norm.bias"] == "gpt_neox.layers.1.post_attention_layernorm.bias"
    assert pairs["blk.0.attn_qkv.weight"] == "gpt_neox.layers.0.attention.query_key_value.weight"
    assert pairs["blk.0.attn_output.bias"] == "gpt_neox.layers.0.attention.dense.bias"
    assert pairs["blk.0.ffn_up.weight"] == "gpt_neox.layers.0.mlp.dense_h_to_4h.weight"
    assert pairs["blk.0.ffn_down.weight"] == "gpt_neox.layers.0.mlp.dense_4h_to_h.weight"
    assert {tensor.name for tensor in tensors if tensor.swap} == {
        f"blk.{layer}.attn_qkv.{part}" for layer in (0, 1) for part in ("weight", "bias")
    }


@pytest.mark.parametrize("stored_output", [True, False])
def test_tied_embeddings_are_written_twice(stored_output: bool) -> None:
    settings = config(tie_word_embeddings=True)
    held = stored(settings)
    if not stored_output:
        del held["embed_out.weight"]
    tensors = model_tensors(settings, held)
    assert tensors[-1].name == "output.weight"
    assert tensors[-1].source is held["gpt_neox.embed_in.weight"]


def test_an_untied_checkpoint_must_have_its_output_matrix() -> None:
    held = stored(config())
    del held["embed_out.weight"]
    with pytest.raises(InputError, match=r"embed_out\.weight is missing"):
        model_tensors(config(), held)


def test_biases_that_the_configuration_rules_out_are_zeros() -> None:
    settings = config(attention_bias=False)
    held = stored(settings)
    without = {
        name: tensor
        for name, tensor in held.items()
        if not (".attention." in name and name.endswith(".bias"))
    }
    tensors = model_tensors(settings, without)
    zeros = {tensor.name for tensor in tensors if tensor.source is None}
    assert zeros == {f"blk.{i}.{part}.bias" for i in (0, 1) for part in ("attn_qkv", "attn_output")}
    with pytest.raises(InputError, match="is missing"):
        model_tensors(config(), without)


def test_old_buffers_are_passed_over() -> None:
    held = stored(config())
    for name in ("attention.bias", "attention.masked_bias", "attention.rotary_emb.inv_freq"):
        full = f"gpt_neox.layers.0.{name}"
        held[full] = StoredTensor(full, Path("f"), 0, "BOOL", (1, 1), (1, 1))
    assert len(model_tensors(config(), held)) == 28


def test_a_tensor_that_is_no_float_is_refused() -> None:
    held = stored(config())
    name = "gpt_neox.embed_in.weight"
    held[name] = StoredTensor(name, Path("f"), 0, "I8", held[name].shape, held[name].strides)
    with pytest.raises(InputError, match="is I8"):
        model_tensors(config(), held)


def test_a_layer_too_many_is_refused() -> None:
    held = stored(config(num_hidden_layers=3))
    with pytest.raises(InputError, match=r"layers\.2\.\S+ is not a tensor of a 2-layer"):
        model_tensors(config(), held)
