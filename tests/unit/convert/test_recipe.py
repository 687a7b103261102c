"""The type of each tensor, compared with real files of llama.cpp's quantiser."""

from __future__ import annotations

import pytest
from gguf import GGMLQuantizationType as Type

from llmsuggestd.convert.recipe import RECIPES, Traits, tensor_type

# From files of llama_model_quantize (llama-cpp-python 0.3.36), Pythia 2.8B's shape, 32 layers:
# the layers whose attn_qkv and ffn_down get more bits.
MORE_BITS = [0, 1, 2, 3, 6, 9, 12, 15, 18, 21, 24, 27, 28, 29, 30, 31]


def types(quant: str, part: str, columns: int = 2560, layers: int = 32) -> list[str]:
    """The type of a matrix in each layer."""
    recipe = RECIPES[quant]
    return [
        tensor_type(recipe, f"blk.{i}.{part}.weight", (64, columns), Traits(layers)).name
        for i in range(layers)
    ]


@pytest.mark.parametrize(("quant", "base"), [("Q4_K_M", "Q4_K"), ("Q5_K_M", "Q5_K")])
@pytest.mark.parametrize("part", ["attn_qkv", "ffn_down"])
def test_medium_recipes_give_some_layers_more_bits(quant: str, base: str, part: str) -> None:
    assert types(quant, part) == ["Q6_K" if i in MORE_BITS else base for i in range(32)]


def test_small_and_nonlinear_recipes_favour_the_first_layers() -> None:
    assert types("Q4_K_S", "attn_qkv") == ["Q5_K"] * 4 + ["Q4_K"] * 28
    assert types("Q4_K_S", "ffn_down") == ["Q5_K"] * 4 + ["Q4_K"] * 28
    assert types("Q4_K_S", "ffn_down", layers=6) == ["Q4_K"] * 6
    assert types("Q4_K_S", "attn_qkv", layers=6) == ["Q5_K"] * 4 + ["Q4_K"] * 2
    assert types("IQ4_NL", "ffn_down") == ["Q5_K"] * 4 + ["IQ4_NL"] * 28
    assert types("IQ4_NL", "attn_qkv") == ["IQ4_NL"] * 32


@pytest.mark.parametrize("quant", ["Q4_0", "Q8_0", "Q6_K", "F16"])
@pytest.mark.parametrize("part", ["attn_qkv", "ffn_down", "ffn_up", "attn_output"])
def test_uniform_recipes_are_uniform(quant: str, part: str) -> None:
    assert set(types(quant, part)) == {quant}


@pytest.mark.parametrize("quant", ["Q4_K_M", "Q5_K_M", "Q4_K_S"])
@pytest.mark.parametrize("part", ["ffn_up", "attn_output"])
def test_other_matrices_get_the_base_type(quant: str, part: str) -> None:
    assert set(types(quant, part)) == {quant[:4]}


@pytest.mark.parametrize(
    ("quant", "embedding", "output"),
    [
        ("F16", "F16", "F16"),
        ("Q8_0", "Q8_0", "Q8_0"),
        ("Q6_K", "Q6_K", "Q6_K"),
        ("Q5_K_M", "Q5_K", "Q6_K"),
        ("Q4_K_M", "Q4_K", "Q6_K"),
        ("Q4_K_S", "Q4_K", "Q6_K"),
        ("Q4_0", "Q4_0", "Q6_K"),
        ("IQ4_NL", "IQ4_NL", "Q6_K"),
    ],
)
def test_the_output_matrix_gets_more_bits(quant: str, embedding: str, output: str) -> None:
    recipe = RECIPES[quant]
    assert tensor_type(recipe, "token_embd.weight", (99, 2560), Traits(32)).name == embedding
    assert tensor_type(recipe, "output.weight", (99, 2560), Traits(32)).name == output


def test_rows_that_are_no_whole_blocks_fall_back() -> None:
    # Pythia 14M: rows of 128 elements, where K types have blocks of 256.
    assert set(types("Q4_K_M", "ffn_up", columns=128, layers=6)) == {"Q5_0"}
    assert types("Q4_K_M", "attn_qkv", columns=128, layers=6) == [
        "Q5_0", "Q5_0", "Q8_0", "Q5_0", "Q5_0", "Q8_0"
    ]  # fmt: skip
    assert set(types("Q5_K_M", "ffn_up", columns=128)) == {"Q5_1"}
    assert set(types("Q6_K", "ffn_up", columns=128)) == {"Q8_0"}
    assert set(types("Q4_0", "ffn_up", columns=80)) == {"F16"}
    assert tensor_type(RECIPES["Q4_K_M"], "output.weight", (99, 128), Traits(6)) is Type.Q8_0
    assert tensor_type(RECIPES["Q4_0"], "output.weight", (99, 128), Traits(6)) is Type.Q8_0
    assert tensor_type(RECIPES["Q4_0"], "output.weight", (99, 80), Traits(6)) is Type.F16


@pytest.mark.parametrize("quant", list(RECIPES))
def test_vectors_stay_float32(quant: str) -> None:
    for name in ("blk.0.attn_norm.weight", "blk.0.ffn_down.bias", "output_norm.weight"):
        assert tensor_type(RECIPES[quant], name, (2560,), Traits(32)) is Type.F32


def test_more_bits_for_values_that_many_queries_share() -> None:
    def values(quant: str, traits: Traits) -> list[str]:
        return [
            tensor_type(RECIPES[quant], f"blk.{i}.attn_v.weight", (64, 2560), traits).name
            for i in range(traits.layers)
        ]

    assert set(values("IQ4_NL", Traits(8, group=3))) == {"IQ4_NL"}
    assert set(values("IQ4_NL", Traits(8, group=4))) == {"Q5_K"}
    assert set(values("Q4_K_M", Traits(80, group=8, is_70b=True))) == {"Q5_K", "Q6_K"}
    assert set(values("Q4_K_M", Traits(80, group=8))) == {"Q4_K", "Q6_K"}


@pytest.mark.parametrize(("quant", "kind"), [("Q4_K_M", "Q6_K"), ("Q8_0", "Q8_0"), ("F16", "F16")])
def test_an_embedding_that_is_the_output_matrix_gets_its_type(quant: str, kind: str) -> None:
    traits = Traits(32, tied=True)
    assert tensor_type(RECIPES[quant], "token_embd.weight", (99, 2560), traits).name == kind
