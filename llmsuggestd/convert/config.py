"""Reads a `config.json`, and checks each value."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llmsuggestd.convert.files import quantised_refusal
from llmsuggestd.convert.jsonfile import read_json_object
from llmsuggestd.errors import InputError

BIT_KEYS = ("bits", "w_bit", "num_bits", "nbits", "weight_bits")
LOAD_KEYS = {"load_in_4bit": 4, "load_in_8bit": 8}
"""Keys for the number of bits, of quantising tools in general and of bitsandbytes."""

MOST_LAYERS = 512  # llama.cpp's limit
MOST_TOKENS = 2**24  # far above any real vocabulary; each token needs memory here
MOST = 2**31 - 1  # the maximum of llama.cpp's int32 counters
LARGEST_FLOAT = 3.4028234e38  # the maximum of float32, the type in GGUF

_BELONGS = "check that config.json belongs to this model"


class Config:
    """The object of a `config.json`. `where` names the file in errors.

    Each method raises `InputError` for a value that it cannot return.
    """

    def __init__(self, raw: Mapping[str, Any], where: str) -> None:
        self.raw = raw
        self.where = where

    def refusal(self, problem: str, hint: str = _BELONGS) -> InputError:
        """The error about a value."""
        return InputError(f"{self.where}: {problem}", hint)

    def count(self, key: str, default: int | None = None, limit: int = MOST) -> int:
        """A positive integer."""
        value = self.raw.get(key)
        value = default if value is None else value
        if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
            raise self.refusal(f"{key} is {value!r}, not a positive whole number")
        if value > limit:
            raise self.refusal(f"{key} is {value!r}, more than {limit}")
        return value

    def layers(self) -> int:
        """The number of layers."""
        return self.count("num_hidden_layers", limit=MOST_LAYERS)

    def tokens(self) -> int:
        """The number of rows of the embedding."""
        return self.count("vocab_size", limit=MOST_TOKENS)

    def number(self, value: Any, key: str) -> float:
        """Check that a value is a positive number. `key` names it in errors."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.refusal(f"{key} is {value!r}, not a number")
        if not 0 < value <= LARGEST_FLOAT:  # also excludes NaN
            raise self.refusal(f"{key} is {value!r}, not a positive 32-bit number")
        return float(value)

    def flag(self, key: str, *, default: bool = False) -> bool:
        """True or false."""
        value = self.raw.get(key, default)
        if not isinstance(value, bool):
            raise self.refusal(f"{key} is {value!r}, neither true nor false")
        return value

    def activation(self, default: str, known: frozenset[str], title: str) -> None:
        """Check the activation function, which llama.cpp fixes for each architecture."""
        value = self.raw.get("hidden_act", default)
        if str(value) not in known:
            raise self.refusal(
                f"hidden_act {value!r} is not one llama.cpp computes for {title}",
                f"only {sorted(known)[0].upper()} models of this architecture can be converted",
            )


def read_config(folder: Path) -> Config:
    """Read `config.json` of a checkpoint.

    Raises `InputError` if the file is missing or broken, or if the weights are quantised.
    """
    path = folder / "config.json"
    config = Config(
        read_json_object(path, "a checkpoint in Hugging Face layout has one"), str(path)
    )
    check_not_quantised(config)
    return config


def check_not_quantised(config: Config) -> None:
    """Refuse quantised weights, by the keys of transformers, older tools and MLX."""
    for key in ("quantization_config", "compression_config", "quantization"):
        found = config.raw.get(key)
        if not isinstance(found, dict) or not found:
            continue
        loads = {name: found[name] for name in LOAD_KEYS if name in found}
        method = found.get("quant_method") or ("bitsandbytes" if loads else "MLX")
        if method == "bitsandbytes" and not any(loads.values()):
            continue  # nothing is quantised
        bits = next((found[name] for name in BIT_KEYS if isinstance(found.get(name), int)), None)
        bits = bits or next((LOAD_KEYS[name] for name, yes in loads.items() if yes), None)
        made_from = config.raw.get("_name_or_path")
        raise quantised_refusal(
            f"{config.where}: {key}",
            f"{method}, {bits} bits" if bits else str(method),
            made_from if isinstance(made_from, str) and "/" in made_from else "",
        )
