"""Rotary positions: their base, and their scaling for longer texts.

transformers 4 writes the base to a separate key and the rest to `rope_scaling`. transformers 5
writes both to `rope_parameters`. Checkpoints from the time between have both, and the newer form
counts. The names and defaults are those of transformers' `modeling_rope_utils.py`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from gguf import RopeScalingType

from llmsuggestd.convert.config import Config

UNSCALED = ("default", "dynamic")
"""Scalings without an effect on texts within the context of the training. `dynamic` changes the
base for longer texts only, and the daemon sends none."""

_ORIGINAL = "original_max_position_embeddings"

_BETAS = {"beta_fast": 32, "beta_slow": 1}
"""YaRN's parameters that llama.cpp cannot read from files of our architectures, and the values that
it uses."""

_LLAMA3 = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, _ORIGINAL: 8192}

_NOT_PARAMETERS = frozenset(
    {"rope_type", "type", "rope_theta", "partial_rotary_factor", "finetuned",
     "extrapolation_factor", "attn_factor"}
)  # fmt: skip
"""Keys that are not parameters of a scaling. transformers ignores the last two."""


@dataclass(frozen=True, slots=True)
class Rope:
    """The settings of rotary positions.

    `rotary_fraction` is the fraction of each head's channels that are rotated, and `base` the base
    of their frequencies. `kind` is the scaling's name, and `parameters` are its parameters.
    """

    base: float
    rotary_fraction: float = 1.0
    kind: str = "default"
    parameters: Mapping[str, float] = field(default_factory=dict)

    def metadata(self) -> dict[str, Any]:
        """The GGUF file's metadata, by gguf's names."""
        result: dict[str, Any] = {"rope_freq_base": self.base}
        if self.kind in ("linear", "yarn"):
            result["rope_scaling_type"] = RopeScalingType(self.kind)
            result["rope_scaling_factor"] = self.parameters["factor"]
        if self.kind == "yarn":
            result |= self._yarn()
        return result

    def _yarn(self) -> dict[str, Any]:
        result: dict[str, Any] = {"rope_scaling_orig_ctx_len": int(self.parameters[_ORIGINAL])}
        if "attention_factor" in self.parameters:
            # llama.cpp multiplies YaRN's default factor by this number
            usual = 1 + 0.1 * math.log(self.parameters["factor"])
            result["rope_scaling_attn_factors"] = self.parameters["attention_factor"] / usual
        return result

    def factors(self, channels: int) -> npt.NDArray[np.float32] | None:
        """Divisors of the frequencies, shape (channels / 2,); None if none are needed.

        They are Llama 3.1's scaling. Low frequencies are divided by `factor`, high ones stay
        unchanged, and the divisors between are interpolated.
        """
        if self.kind != "llama3":
            return None
        factor, low, high, original = (self.parameters[key] for key in _LLAMA3)
        # In float32, with reciprocals where torch computes them, so that the result has the same
        # bits as that of llama.cpp's converter.
        exponents = np.arange(0, channels, 2, dtype=np.float32) / np.float32(channels)
        frequencies = 1 / (self.base ** exponents.astype(np.float64)).astype(np.float32)
        lengths = 1 / frequencies * np.float32(2 * math.pi)
        smooth = (1 / lengths * np.float32(original) - low) / (high - low)
        between = 1 / ((1 - smooth) / factor + smooth)
        scaled = np.where(lengths > original / low, factor, between)
        return np.where(lengths < original / high, 1.0, scaled).astype(np.float32)


def read_rope(
    config: Config,
    *,
    kinds: Sequence[str],
    context: int,
    base_keys: Sequence[str] = ("rope_theta",),
    fraction_keys: Sequence[str] = ("partial_rotary_factor",),
    rotary_fraction: float = 1.0,
) -> Rope:
    """Read the settings from a configuration. `kinds` are the scalings that llama.cpp supports.

    `base_keys` and `fraction_keys` are keys outside `rope_parameters`, `rotary_fraction` is the
    default, and `context` the number of positions in training. Raises `InputError` if the scaling
    or a parameter is not supported.
    """
    parameters = _object(config, "rope_parameters")
    merged = {**_object(config, "rope_scaling"), **parameters}
    kind = _first((merged.get("rope_type"), merged.get("type")), "default")
    if kind not in (*UNSCALED, *kinds):
        raise config.refusal(
            f"rotary scaling {kind!r} is not supported",
            f"models of this architecture can be converted with {', '.join(kinds)} or no scaling",
        )

    def value(key: str, others: Sequence[str], default: float) -> float:
        found = _first((parameters.get(key), *map(config.raw.get, others)), default)
        return config.number(found, others[-1])

    found = value("partial_rotary_factor", fraction_keys, rotary_fraction)
    if found > 1:
        raise config.refusal(f"{fraction_keys[-1]} {found} is more than the whole head")
    return Rope(
        value("rope_theta", base_keys, 10000.0),
        found,
        kind,
        _scaling_parameters(config, kind, merged, context),
    )


def _scaling_parameters(
    config: Config, kind: str, merged: Mapping[str, Any], context: int
) -> dict[str, float]:
    """The parameters of a scaling."""
    if kind in UNSCALED:
        return {}
    if kind == "linear":
        wanted: dict[str, Any] = {"factor": 1.0}
    elif kind == "llama3":
        wanted = dict(_LLAMA3)
    else:
        original = _first((config.raw.get(_ORIGINAL),), context)
        wanted = {"factor": None, _ORIGINAL: original, "attention_factor": None}
        for key in sorted(set(merged) - set(wanted) - _NOT_PARAMETERS):
            if key not in _BETAS or merged[key] not in (None, _BETAS[key]):
                raise config.refusal(f"llama.cpp does not compute YaRN with {key} {merged[key]!r}")
    values = {key: _first((merged.get(key),), default) for key, default in wanted.items()}
    return {
        key: config.number(value, f"rope_scaling.{key}")
        for key, value in values.items()
        if value is not None or key == "factor"
    }


def _object(config: Config, key: str) -> Mapping[str, Any]:
    value = config.raw.get(key) or {}
    if not isinstance(value, dict):
        raise config.refusal("rope_parameters and rope_scaling must be objects")
    return value


def _first(values: Iterable[Any], default: Any) -> Any:
    return next((value for value in values if value is not None), default)
