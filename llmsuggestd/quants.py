"""The quantisations that the converter offers, by llama.cpp's names."""

from __future__ import annotations

from typing import Final

QUANTS: Final = ("F16", "Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q4_K_S", "Q4_0", "IQ4_NL")

DEFAULT_QUANT: Final = "Q4_K_M"
