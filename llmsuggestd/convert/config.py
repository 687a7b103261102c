"""Reads a GPT-NeoX `config.json`, in both layouts of transformers.

transformers 4 writes `rotary_pct` and `rotary_emb_base`. transformers 5 writes the same two numbers
into `rope_parameters`, as `partial_rotary_factor` and `rope_theta`. Checkpoints saved in between
have both. The field names and defaults are those of transformers' `GPTNeoXConfig`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llmsuggestd.convert.files import quantised_refusal
from llmsuggestd.convert.jsonfile import read_json_object
from llmsuggestd.errors import InputError

ARCHITECTURE = "GPTNeoXForCausalLM"

OTHER_HEADS = {
    "ForSequenceClassification": "it rates or sorts texts and writes none",
    "ForTokenClassification": "it labels words and writes none",
    "ForQuestionAnswering": "it marks a text's words and writes none",
    "RewardModel": "it rates texts and writes none",
    "GPTNeoXModel": "it has no output matrix",
}
"""Suffixes of architectures that write no text, and the reason."""

BIT_KEYS = ("bits", "w_bit", "num_bits", "nbits", "weight_bits")
LOAD_KEYS = {"load_in_4bit": 4, "load_in_8bit": 8}
"""Keys for the number of bits, of quantising tools in general and of bitsandbytes."""

# llama.cpp computes every GPT-NeoX model with GELU's tanh form. Pythia was trained with the erf
# form. The difference is smaller than float16's rounding (docs/notes/conversion.md).
GELU_NAMES = frozenset(
    {"gelu", "gelu_fast", "gelu_new", "gelu_python", "gelu_pytorch_tanh", "gelu_accurate"}
)

MOST_LAYERS = 512  # llama.cpp's limit
MOST_TOKENS = 2**24  # far above any real vocabulary; each token needs memory here
MOST = 2**31 - 1  # the maximum of llama.cpp's int32 counters
LARGEST_FLOAT = 3.4028234e38  # the maximum of float32, the type in GGUF


@dataclass(frozen=True, slots=True)
class NeoXConfig:
    """The shape of a GPT-NeoX model, in tokens, channels and layers.

    `rotary_dims` is the number of rotary channels per head, `rope_base` the rotary base, and
    `rope_linear` the factor by which positions are divided (1.0: unscaled).
    """

    layers: int
    hidden: int
    heads: int
    feed_forward: int
    vocab: int
    context: int
    rotary_dims: int
    rope_base: float
    rope_linear: float
    norm_eps: float
    parallel_residual: bool
    attention_bias: bool
    tied: bool

    @property
    def head_dim(self) -> int:
        """Channels of one attention head."""
        return self.hidden // self.heads


def read_config(folder: Path) -> tuple[NeoXConfig, Mapping[str, Any]]:
    """Read `config.json` of a checkpoint. Returns the model's shape and the raw object.

    Raises `InputError` if the file is missing or broken, if the architecture is another one, or if
    llama.cpp's GPT-NeoX does not support the configuration.
    """
    path = folder / "config.json"
    raw = read_json_object(path, "a checkpoint in Hugging Face layout has one")
    return parse_config(raw, str(path)), raw


def parse_config(raw: Mapping[str, Any], where: str) -> NeoXConfig:
    """Read a GPT-NeoX configuration; `where` names it in errors (see `read_config`)."""
    _check_architecture(raw, where)
    _check_not_quantised(raw, where)
    heads = _positive_int(raw, "num_attention_heads", where)
    hidden = _positive_int(raw, "hidden_size", where)
    if hidden % heads:
        raise InputError(f"{where}: hidden_size {hidden} is not a multiple of {heads} heads")
    activation = raw.get("hidden_act", "gelu")
    if str(activation) not in GELU_NAMES:
        raise InputError(
            f"{where}: hidden_act {activation!r} is not one llama.cpp computes for GPT-NeoX",
            "only GELU models can be converted",
        )
    share, base, linear = _rotary(raw, where)
    rotary_dims = int(hidden // heads * share)
    if rotary_dims < 2 or rotary_dims % 2:
        raise InputError(f"{where}: {rotary_dims} rotary channels per head; llama.cpp needs pairs")
    return NeoXConfig(
        layers=_positive_int(raw, "num_hidden_layers", where, limit=MOST_LAYERS),
        hidden=hidden,
        heads=heads,
        feed_forward=_positive_int(raw, "intermediate_size", where),
        vocab=_positive_int(raw, "vocab_size", where, limit=MOST_TOKENS),
        context=_positive_int(raw, "max_position_embeddings", where, 2048),
        rotary_dims=rotary_dims,
        rope_base=base,
        rope_linear=linear,
        norm_eps=_positive_float(raw.get("layer_norm_eps", 1e-5), "layer_norm_eps", where),
        parallel_residual=_bool(raw, "use_parallel_residual", where, default=True),
        attention_bias=_bool(raw, "attention_bias", where, default=True),
        tied=_bool(raw, "tie_word_embeddings", where, default=False),
    )


def _check_architecture(raw: Mapping[str, Any], where: str) -> None:
    named = raw.get("architectures")
    names = [str(name) for name in named] if isinstance(named, list) else []
    kind = raw.get("model_type", "gpt_neox" if names else None)
    if kind != "gpt_neox" or (names and ARCHITECTURE not in names):
        what = ", ".join(names) or f"model_type {kind!r}"
        if kind != "gpt_neox" and ARCHITECTURE in names:
            what = f"model_type {kind!r}"
        why = next((words for end, words in OTHER_HEADS.items() if what.endswith(end)), "")
        raise InputError(
            f"{where}: this is {what}, not a GPT-NeoX language model{why and f': {why}'}",
            f"only {ARCHITECTURE} checkpoints (Pythia and its fine-tunes) can be converted",
        )


def _check_not_quantised(raw: Mapping[str, Any], where: str) -> None:
    """Refuse quantised weights, by the keys of transformers, older tools and MLX."""
    for key in ("quantization_config", "compression_config", "quantization"):
        found = raw.get(key)
        if not isinstance(found, dict) or not found:
            continue
        loads = {name: found[name] for name in LOAD_KEYS if name in found}
        method = found.get("quant_method") or ("bitsandbytes" if loads else "MLX")
        if method == "bitsandbytes" and not any(loads.values()):
            continue  # nothing is quantised
        bits = next((found[name] for name in BIT_KEYS if isinstance(found.get(name), int)), None)
        bits = bits or next((LOAD_KEYS[name] for name, yes in loads.items() if yes), None)
        made_from = raw.get("_name_or_path")
        raise quantised_refusal(
            f"{where}: {key}",
            f"{method}, {bits} bits" if bits else str(method),
            made_from if isinstance(made_from, str) and "/" in made_from else "",
        )


def _rotary(raw: Mapping[str, Any], where: str) -> tuple[float, float, float]:
    """The share of rotary channels, the rotary base, and the linear scaling factor."""
    parameters = raw.get("rope_parameters") or {}
    scaling = raw.get("rope_scaling") or {}
    if not isinstance(parameters, dict) or not isinstance(scaling, dict):
        raise InputError(f"{where}: rope_parameters and rope_scaling must be objects")
    # If a file has both layouts, the newer one counts, as in transformers 5.
    share = _first(
        parameters.get("partial_rotary_factor"),
        raw.get("partial_rotary_factor"),
        raw.get("rotary_pct"),
        0.25,
    )
    base = _first(
        parameters.get("rope_theta"), raw.get("rope_theta"), raw.get("rotary_emb_base"), 10000.0
    )
    merged = {**scaling, **parameters}
    kind = _first(merged.get("rope_type"), merged.get("type"), "default")
    factor: Any = 1.0
    if kind == "linear":
        factor = _first(merged.get("factor"), 1.0)
    elif kind != "default":
        raise InputError(
            f"{where}: rotary scaling {kind!r} is not supported",
            "only unscaled and linearly scaled positions can be converted",
        )
    share = _positive_float(share, "rotary_pct", where)
    if share > 1:
        raise InputError(f"{where}: rotary_pct {share} is more than the whole head")
    return (
        share,
        _positive_float(base, "rotary_emb_base", where),
        _positive_float(factor, "rope_scaling.factor", where),
    )


def _first(*values: Any) -> Any:
    return next(value for value in values if value is not None)


def _positive_int(
    raw: Mapping[str, Any], key: str, where: str, default: int | None = None, limit: int = MOST
) -> int:
    value = raw.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
        raise InputError(f"{where}: {key} is {value!r}, not a positive whole number")
    if value > limit:
        raise InputError(f"{where}: {key} is {value!r}, more than {limit}")
    return value


def _positive_float(value: Any, key: str, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError(f"{where}: {key} is {value!r}, not a number")
    if not 0 < value <= LARGEST_FLOAT:  # also excludes NaN
        raise InputError(f"{where}: {key} is {value!r}, not a positive 32-bit number")
    return float(value)


def _bool(raw: Mapping[str, Any], key: str, where: str, *, default: bool) -> bool:
    value = raw.get(key, default)
    if not isinstance(value, bool):
        raise InputError(f"{where}: {key} is {value!r}, neither true nor false")
    return value
