"""Chooses the type of each tensor, as llama.cpp does without an imatrix.

This follows `llama_tensor_get_type_impl` and `tensor_type_fallback` in llama.cpp's
`src/llama-quant.cpp` (as in llama-cpp-python 0.3.36), reduced to our architectures. The benchmark
`tests/benchmarks/convert_exact.py` compares the result with llama.cpp's.
"""

from __future__ import annotations

from dataclasses import dataclass

from gguf import GGML_QUANT_SIZES, LlamaFileType
from gguf import GGMLQuantizationType as Type


@dataclass(frozen=True, slots=True)
class Recipe:
    """A value of `--quant`: its number in the file's metadata, and the type of most tensors."""

    name: str
    file_type: LlamaFileType
    base: Type


RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe("F16", LlamaFileType.MOSTLY_F16, Type.F16),
        Recipe("Q8_0", LlamaFileType.MOSTLY_Q8_0, Type.Q8_0),
        Recipe("Q6_K", LlamaFileType.MOSTLY_Q6_K, Type.Q6_K),
        Recipe("Q5_K_M", LlamaFileType.MOSTLY_Q5_K_M, Type.Q5_K),
        Recipe("Q4_K_M", LlamaFileType.MOSTLY_Q4_K_M, Type.Q4_K),
        Recipe("Q4_K_S", LlamaFileType.MOSTLY_Q4_K_S, Type.Q4_K),
        Recipe("Q4_0", LlamaFileType.MOSTLY_Q4_0, Type.Q4_0),
        Recipe("IQ4_NL", LlamaFileType.MOSTLY_IQ4_NL, Type.IQ4_NL),
    )
}


@dataclass(frozen=True, slots=True)
class Traits:
    """The properties of a model that determine its tensors' types, with their names and shapes.

    `group` is the number of query heads per head of keys and values, `is_70b` whether llama.cpp
    treats the model as a 70B, and `tied` whether the embedding is also the output matrix.
    """

    layers: int
    group: int = 1
    is_70b: bool = False
    tied: bool = False


# Replacements with blocks of 32 elements, for rows that do not consist of whole blocks of 256.
SMALL_BLOCK = {Type.Q4_K: Type.Q5_0, Type.Q5_K: Type.Q5_1, Type.Q6_K: Type.Q8_0}


def tensor_type(recipe: Recipe, name: str, shape: tuple[int, ...], traits: Traits) -> Type:
    """The ggml type of a tensor.

    `name` is the tensor's GGUF name, `shape` its shape with the row length last. Vectors (norms and
    biases) stay float32, as llama.cpp needs them.
    """
    if len(shape) < 2:
        return Type.F32
    if recipe.base is Type.F16:
        return Type.F16
    return _fitting(_wanted(recipe, name, shape[-1], traits), shape[-1])


def _wanted(recipe: Recipe, name: str, columns: int, traits: Traits) -> Type:
    if name == "output.weight" or (traits.tied and name == "token_embd.weight"):
        # The output matrix affects the distribution directly, and gets more bits.
        if columns % GGML_QUANT_SIZES[recipe.base][0] or recipe.base is Type.Q8_0:
            return Type.Q8_0
        return Type.Q6_K
    if not name.startswith("blk."):
        return recipe.base
    layer, part = name.split(".")[1:3]
    if part in ("attn_v", "attn_qkv"):
        kind = _values(recipe, int(layer), traits)
        return Type.Q5_K if traits.is_70b and kind is Type.Q4_K else kind
    if part == "ffn_down":
        return _down(recipe, int(layer), traits.layers)
    return recipe.base


def _values(recipe: Recipe, layer: int, traits: Traits) -> Type:
    # Few bits harm value matrices most. llama.cpp counts GPT-NeoX's joint query/key/value matrix as
    # one. If many queries share the values, the matrix is small, so more bits cost little.
    if recipe.name == "IQ4_NL" and traits.group >= 4:
        return Type.Q5_K
    if recipe.name in {"Q4_K_M", "Q5_K_M"} and _more_bits(layer, traits.layers):
        return Type.Q6_K
    if recipe.name == "Q4_K_S" and layer < 4:
        return Type.Q5_K
    return recipe.base


def _down(recipe: Recipe, layer: int, layers: int) -> Type:
    if recipe.name in {"Q4_K_M", "Q5_K_M"} and _more_bits(layer, layers):
        return Type.Q6_K
    if recipe.name in {"Q4_K_S", "IQ4_NL"} and layer < layers // 8:
        return Type.Q5_K
    return recipe.base


def _more_bits(layer: int, layers: int) -> bool:
    """The first eighth, the last eighth, and every third layer between."""
    eighth = layers // 8
    return layer < eighth or layer >= 7 * layers // 8 or (layer - eighth) % 3 == 2


def _fitting(kind: Type, columns: int) -> Type:
    """The type itself, or its replacement if its blocks do not fit the row."""
    if columns % GGML_QUANT_SIZES[kind][0] == 0:
        return kind
    kind = SMALL_BLOCK.get(kind, kind)
    return kind if columns % GGML_QUANT_SIZES[kind][0] == 0 else Type.F16
