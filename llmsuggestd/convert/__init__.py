"""A GPT-NeoX checkpoint in Hugging Face layout to a quantised GGUF file.

Needs neither torch nor transformers. On the command line: `llmsuggestd convert CHECKPOINT`; from
Python: `llmsuggestd.convert.convert`.
"""

from llmsuggestd.convert.conversion import Summary, convert
from llmsuggestd.convert.metadata import Source
from llmsuggestd.convert.recipe import RECIPES

__all__ = ["RECIPES", "Source", "Summary", "convert"]
