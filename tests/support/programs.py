"""Programs that tests run and that a machine may lack: such a test is skipped.

`tests/debian-packages` lists the packages that bring all of them.
"""

from __future__ import annotations

import os
import shutil
from typing import Final

import pytest

BOUND_BY_MODES: Final = (
    ("setpriv", "--bounding-set=-dac_override,-dac_read_search") if os.geteuid() == 0 else ()
)
"""What stands before a command that the modes of files are to bind although root runs it."""


def missing(what: str) -> str:
    """Why a test is skipped."""
    return f"{what} is missing (README.md, Develop: the line that installs what the tests need)"


def need(*names: str) -> None:
    """Skip the test that runs now unless all of these programs are installed."""
    for name in names:
        if shutil.which(name) is None:
            pytest.skip(missing(name))


def needs(name: str) -> pytest.MarkDecorator:
    """Skip the marked tests unless a program is installed."""
    return pytest.mark.skipif(shutil.which(name) is None, reason=missing(name))
