"""Reads the JSON files of a checkpoint, with errors for users."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from llmsuggestd import filekind
from llmsuggestd.errors import InputError
from llmsuggestd.file_errors import unreadable

# The largest of these files, tokenizer.json, has a few megabytes.
LARGEST = 256 * 2**20


def read_json_object(path: Path, missing_hint: str = "") -> dict[str, Any]:
    """Read a JSON object from a file.

    Raises `InputError` if it is not one; with `missing_hint` if the file is missing.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise InputError(f"{path}: larger than {LARGEST >> 20} MiB, not a JSON file to read")
        filekind.check_text(path)
        value = json.loads(path.read_bytes())  # UTF-8, -16 or -32, with or without a BOM
    except FileNotFoundError:
        raise InputError(f"{path}: no such file", missing_hint) from None
    except OSError as error:
        raise unreadable(path, error) from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not valid JSON: {error}", "download it again") from None
    if not isinstance(value, dict):
        raise InputError(f"{path}: not a JSON object")
    return value


def read_optional_json_object(path: Path) -> dict[str, Any]:
    """Read a JSON object from a file. Returns an empty one if the file is missing."""
    return read_json_object(path) if path.exists() else {}
