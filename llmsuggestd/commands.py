"""Spells the commands in messages so that they run this installation.

Messages name commands as `llmsuggestd start`. If that name runs another installation or none, as
in a virtual environment that is not on the PATH, users see the whole path instead.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Final

NAME: Final = "llmsuggestd"


@cache
def program() -> str:
    """The words that run this installation, quoted for a shell."""
    script = Path(sys.executable).with_name(f"{NAME}.exe" if sys.platform == "win32" else NAME)
    found = shutil.which(NAME)
    if found is not None and any(_same(found, own) for own in (script, sys.argv[0])):
        return NAME
    words = [str(script)] if script.exists() else [sys.executable, "-P", "-m", NAME]
    return subprocess.list2cmdline(words) if sys.platform == "win32" else shlex.join(words)


def runnable(message: str) -> str:
    """A message whose `llmsuggestd` commands, in backquotes, can be run as shown."""
    return re.sub(rf"`{NAME}(?=[ `])", lambda _: f"`{program()}", message)


def _same(path: str, other: str | Path) -> bool:
    try:
        return Path(path).samefile(other)
    except OSError:
        return False
