"""`python -m convert CHECKPOINT`, from a checkout of the repository."""

from __future__ import annotations

from llmsuggestd.cli import main

from .command import command

if __name__ == "__main__":
    main(command, "python -m convert")
