"""JSON-lines files to which a run appends, so that a later run continues after an interruption."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def read(path: Path) -> list[Any]:
    """The values in the file's lines; none if there is no file.

    A killed run may have written half of the last line. It is cut off the file, so that the next
    line does not continue it.
    """
    if not path.exists():
        return []
    with path.open("r+b") as file:
        lines = file.readlines()
        if lines and not lines[-1].endswith(b"\n"):
            file.truncate(file.tell() - len(lines.pop()))
    return [json.loads(line) for line in lines]
