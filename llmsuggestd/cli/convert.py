"""`llmsuggestd convert`: a GPT-NeoX checkpoint to a quantised GGUF file."""

from __future__ import annotations

import importlib

import click

# By name: the package is installed from convert/, at the top of the checkout, where a type
# checker does not look for llmsuggestd.convert.
command: click.Command = importlib.import_module("llmsuggestd.convert.command").command
