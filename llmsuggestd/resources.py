"""Files that are part of the installation, but are at the top of a checkout."""

from __future__ import annotations

from pathlib import Path

from llmsuggestd.errors import LlmsuggestdError

_PACKAGE = Path(__file__).parent


def resource(name: str) -> Path:
    """A top-level folder of the project (`lean`, `packaging`), installed or in a checkout."""
    for candidate in (_PACKAGE / name, _PACKAGE.parent / name):
        if candidate.is_dir():
            return candidate
    raise LlmsuggestdError(
        f"the installation lacks its folder {name!r}", "install llmsuggestd again"
    )
