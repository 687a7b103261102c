"""Skips tests whose programs are not installed.

`tests/debian-packages` lists the packages of all these programs.
"""

from __future__ import annotations

import os
import shutil
from typing import Final

import pytest

BOUND_BY_MODES: Final = (
    ("setpriv", "--bounding-set=-dac_override,-dac_read_search") if os.geteuid() == 0 else ()
)
"""The words before a command that make file modes apply to it, although root runs it."""


def missing(what: str) -> str:
    """The reason for skipping a test that needs a program."""
    return f"{what} is missing (README.md, Develop: the line that installs what the tests need)"


def need(*names: str) -> None:
    """Skip the running test unless all of these programs are installed."""
    for name in names:
        if shutil.which(name) is None:
            pytest.skip(missing(name))


def needs(name: str) -> pytest.MarkDecorator:
    """Skip the marked tests unless a program is installed."""
    return pytest.mark.skipif(shutil.which(name) is None, reason=missing(name))
