"""The site that `make docs` builds from these pages: Sphinx, MyST for Markdown, the theme Furo."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS.parent))

from llmsuggestd.version import __version__  # noqa: E402

project = "llmsuggestd"
author = "the llmsuggestd authors"
copyright = f"2026, {author}"  # noqa: A001
version = release = __version__

extensions = ["myst_parser"]
exclude_patterns = ["pictures/*.py"]
myst_heading_anchors = 3
nitpicky = True
highlight_language = "text"  # Pygments' Lean 4 does not know all of its symbols

html_theme = "furo"
html_title = f"llmsuggestd {__version__}"
html_favicon = "../packaging/icons/llmsuggestd.svg"
html_logo = "../packaging/icons/llmsuggestd.svg"
html_static_path = ["site"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False


def read(_app: object, docname: str, source: list[str]) -> None:
    """Name what lies outside of docs/, instead of linking it."""

    def named(link: re.Match[str]) -> str:
        target = (DOCS / docname).parent.joinpath(link[2]).resolve()
        if target.is_relative_to(DOCS):
            return link[0]
        path = target.relative_to(DOCS.parent)
        return f"{link[1]}" if link[1].strip("`/") == str(path) else f"{link[1]} (`{path}`)"

    source[0] = re.sub(r"(?<!!)\[([^\]]+)\]\((\.\./[^)#\s]*)(?:#[^)]*)?\)", named, source[0])


def setup(app: Any) -> None:
    """Register what is done with each page."""
    app.connect("source-read", read)
