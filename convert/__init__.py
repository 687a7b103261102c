"""A GPT-NeoX checkpoint in Hugging Face layout to a quantised GGUF file.

Needs neither torch nor transformers. From a checkout: `python -m convert CHECKPOINT`; installed:
`llmsuggestd convert CHECKPOINT`; from Python: `llmsuggestd.convert.convert`.
"""

from .conversion import Summary, convert
from .metadata import Source
from .recipe import DEFAULT_QUANT, RECIPES

__all__ = ["DEFAULT_QUANT", "RECIPES", "Source", "Summary", "convert"]
