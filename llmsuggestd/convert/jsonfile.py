"""JSON files of a checkpoint, read with the errors a person needs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from llmsuggestd import filekind
from llmsuggestd.errors import InputError
from llmsuggestd.file_errors import unreadable

# The largest of them, tokenizer.json, is a few megabytes; more than this is no such file.
LARGEST = 256 * 2**20


def read_json_object(path: Path, missing_hint: str = "") -> dict[str, Any]:
    """Read a JSON object from a file.

    Raises `InputError`, with `missing_hint` if there is no such file, or saying what is wrong
    with it.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise InputError(f"{path}: larger than {LARGEST >> 20} MiB, not a JSON file to read")
        filekind.check_text(path)
        value = json.loads(path.read_bytes())  # UTF-8, -16 or -32, with or without a BOM
    except FileNotFoundError:
        hint = missing_hint[:1].upper() + missing_hint[1:] + "." if missing_hint else ""
        raise InputError(f"{path}: no such file", hint) from None
    except OSError as error:
        raise unreadable(path, error) from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not valid JSON: {error}", "Download it again.") from None
    if not isinstance(value, dict):
        raise InputError(f"{path}: not a JSON object")
    return value


def read_optional_json_object(path: Path) -> dict[str, Any]:
    """Read a JSON object from a file, or an empty one if there is no such file."""
    return read_json_object(path) if path.exists() else {}
