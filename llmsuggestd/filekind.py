"""Recognises files by their content, for error messages about files with misleading names.

A clone without git-lfs contains pointers in place of large files. A failed download leaves a web
page or a server's error message. Users rename, compress and truncate files. When a reader cannot
use a file, the error message from here says what the file really is.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final, NamedTuple

from llmsuggestd.errors import InputError

GGUF: Final = "a GGUF file"
SAFETENSORS: Final = "a safetensors file"
TORCH: Final = "a checkpoint written by torch.save"

_HEAD: Final = 4096
"""Number of bytes at a file's beginning that are examined."""

_AGAIN: Final = "download it again"
_UNPACK: Final = "unpack it first"
_CONVERT: Final = "`llmsuggestd convert` makes a GGUF file from a checkpoint's folder"
_OLD_GGML: Final = "convert its checkpoint, or take a GGUF file made since August 2023"

_SIGNATURES: Final = (
    (0, b"GGUF", GGUF, "`llmsuggestd models import` accepts it as it is"),
    (0, b"lmgg", "a GGML file, a predecessor of GGUF", _OLD_GGML),
    (0, b"fmgg", "a GGMF file, a predecessor of GGUF", _OLD_GGML),
    (0, b"tjgg", "a GGJT file, a predecessor of GGUF", _OLD_GGML),
    (4, b'\0\0\0\0{"', SAFETENSORS, _CONVERT),
    (30, b"archive/data.pkl", TORCH, _CONVERT),
    (0, b"\x80\x02\x8a\nl\xfc\x9cF", "a checkpoint of torch before 1.6",
     "load it with a current torch and save it again, preferably as safetensors"),
    (0, b"\x80\x02", "a Python pickle", "save the weights as safetensors"),
    (0, b"\x80\x04\x95", "a Python pickle", "save the weights as safetensors"),
    (0, b"\x89HDF\r\n", "an HDF5 file, as TensorFlow and Keras write it",
     "save the model with transformers, as safetensors"),
    (0, b"\x93NUMPY", "a numpy array", "save the model with transformers, as safetensors"),
    (0, b"PK\x03\x04", "a zip archive", _UNPACK),
    (0, b"PK\x05\x06", "an empty zip archive", _AGAIN),
    (0, b"\x1f\x8b", "compressed (gzip)", _UNPACK),
    (0, b"BZh", "compressed (bzip2)", _UNPACK),
    (0, b"\xfd7zXZ\0", "compressed (xz)", _UNPACK),
    (0, b"\x28\xb5\x2f\xfd", "compressed (zstd)", _UNPACK),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive", _UNPACK),
    (0, b"Rar!", "a RAR archive", _UNPACK),
    (257, b"ustar", "a tar archive", _UNPACK),
    (0, b"%PDF-", "a PDF document", _AGAIN),
)  # fmt: skip
"""Offset, bytes, the kind of file, and the remedy. The first match counts."""

_POINTER: Final = re.compile(rb"version https://(git-lfs\.github\.com|hawser\.github\.com)/spec/")
_MARKUP: Final = re.compile(r"\s*<(!doctype|html|head|body|title|\?xml|error|!--)", re.IGNORECASE)
_TITLE: Final = re.compile(r"<(title|message|h1)[^>]*>(.+?)</", re.IGNORECASE | re.DOTALL)
_ERROR_KEYS: Final = ("error", "message", "detail", "errors")
_OTHER_ERROR_KEYS: Final = ("status", "statusCode", "code", "path", "timestamp", "success", "url")


class Kind(NamedTuple):
    """A kind of file, in words that complete "the file is …", and the remedy."""

    what: str
    remedy: str


def refusal(path: Path, wanted: str, problem: str = "") -> InputError:
    """The error for a file that its reader cannot use. It says what the file is, if recognised.

    `wanted` is the expected kind, such as `SAFETENSORS`; `problem` says why the file is not that.
    """
    kind = recognise(path)
    if kind is None or kind.what == wanted:
        return InputError(f"{path}: is not {wanted}{problem and f': {problem}'}", _AGAIN)
    return InputError(f"{path}: is {kind.what}", kind.remedy)


def check_text(path: Path) -> None:
    """Raise InputError if a file that should be text (JSON, goals) is recognised as something else.

    A file that cannot be opened passes: its reader reports that.
    """
    if kind := recognise(path, text=True):
        raise InputError(f"{path}: is {kind.what}", kind.remedy)


def recognise(path: Path, *, text: bool = False) -> Kind | None:
    """The kind of a file, if its first bytes show it. With `text`, text counts as unrecognised."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
            whole = not file.read(1)
    except OSError:
        return None
    return _pointer(path, head) or _binary(head) or _markup(head) or _words(head, whole, text)


def _server_message(value: Any) -> str | None:
    """The message in a JSON value that is a server's error, not the requested file."""
    if not isinstance(value, dict) or not set(value) <= {*_ERROR_KEYS, *_OTHER_ERROR_KEYS}:
        return None
    for key in _ERROR_KEYS:
        found = value.get(key)
        if isinstance(found, dict):
            found = found.get("message")
        if isinstance(found, str):
            return _quoted(found)
    return None


def _pointer(path: Path, head: bytes) -> Kind | None:
    if head.startswith(b"/annex/objects/"):
        return Kind("a pointer of git-annex in place of the file", "`git annex get` fetches it")
    if not _POINTER.match(head):
        return None
    size = re.search(rb"^size (\d{1,15})\s*$", head, re.MULTILINE)
    of = f" ({int(size[1]) / 1e6:,.1f} MB)" if size else ""
    folder = path.absolute().parent
    cloned = any((above / ".git").exists() for above in (folder, *folder.parents))
    where = folder if cloned else "its clone"
    return Kind(
        f"a pointer of git-lfs in place of the file{of}",
        f"`git lfs pull` in {where} fetches it (requires git-lfs)",
    )


def _binary(head: bytes) -> Kind | None:
    if not head:
        return Kind("empty", _AGAIN)
    if not any(head):
        return Kind("filled with zeros, probably by an interrupted download", _AGAIN)
    for position, signature, what, remedy in _SIGNATURES:
        if head.startswith(signature, position):
            return Kind(what, remedy)
    return None


def _markup(head: bytes) -> Kind | None:
    words = head.decode(errors="replace").removeprefix("\ufeff")
    if not _MARKUP.match(words):
        return None
    title = _TITLE.search(words)
    said = f" ({_quoted(title[2])})" if title else ""
    page = (
        "a server's message" if words.lstrip()[:6].lower() in ("<?xml ", "<error") else "a web page"
    )
    return Kind(
        f"{page}{said} in place of the file",
        "download it again: the server sent an error or login page instead",
    )


def _words(head: bytes, whole: bool, text: bool) -> Kind | None:
    """Recognise text in place of a binary file, and a server's error in place of other text."""
    try:
        words = head.decode() if whole else head.decode(errors="ignore")
        message = _server_message(json.loads(words)) if whole else None
    except ValueError:
        message = None
        words = head.decode(errors="replace")
    if message is not None:
        return Kind(f"a server's error message ({message}) in place of the file", _AGAIN)
    if text or "\ufffd" in words or re.search(r"[\x00-\x08\x0e-\x1f]", words):
        return None
    return Kind(f"text ({_quoted(words)})" if whole else "text", _AGAIN)


def _quoted(words: str) -> str:
    """The beginning of a message, on one line."""
    line = " ".join(words.split())
    return f"“{line[:60]}…”" if len(line) > 60 else f"“{line}”"
