"""Converts a checkpoint in Hugging Face layout to a quantised GGUF file.

This needs neither torch nor transformers. The command is `llmsuggestd convert CHECKPOINT`, and the
Python function `llmsuggestd.convert.convert`.
"""

from llmsuggestd.convert.architectures import read_model
from llmsuggestd.convert.conversion import Summary, convert
from llmsuggestd.convert.metadata import Source
from llmsuggestd.convert.recipe import RECIPES

__all__ = ["RECIPES", "Source", "Summary", "convert", "read_model"]
