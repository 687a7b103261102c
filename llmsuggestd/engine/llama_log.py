"""llama.cpp's log: its errors become messages, its warnings go to standard error."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable

import llama_cpp as C  # noqa: N812 - the C API, as in `C.llama_decode`


class LlamaError(Exception):
    """llama.cpp failed. The message is its own, if it gave one, and `hint` the remedy, if known."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


_log: deque[str] = deque(maxlen=50)
stops: list[Callable[[], bool]] = []
"""For each context, whether its decode is being stopped, and so fails on purpose."""
_ERROR_LEVEL = 4
_WARNING_LEVEL = 3
_CONTINUED_LEVEL = 5


@C.llama_log_callback  # type: ignore[untyped-decorator]
def _on_log(level: int, text: bytes, _: object) -> None:
    """Keep errors for messages, and pass warnings on. (llama_cpp's own map of levels is outdated.)

    Two kinds are dropped: the failure of a decode that we have stopped, and the warning that the
    context is larger than the one that the model was trained for.
    """
    if any(stopped() for stopped in stops) or b"> n_ctx_train" in text:
        return
    line = text.decode(errors="replace")
    if level == _ERROR_LEVEL:
        _log.append(line.strip())
    if level in (_ERROR_LEVEL, _WARNING_LEVEL):
        sys.stderr.write(line)


@C.llama_log_callback  # type: ignore[untyped-decorator]
def _on_quiet_log(level: int, text: bytes, _: object) -> None:
    """Keep errors for messages, and nothing else."""
    if level == _ERROR_LEVEL:
        _log.append(text.decode(errors="replace").strip())


def capture_log(*, warnings: bool = True) -> None:
    """Receive llama.cpp's log here. Without `warnings`, none of it is passed on."""
    C.llama_log_set(_on_log if warnings else _on_quiet_log, None)


def last_error(otherwise: str) -> str:
    """llama.cpp's first error since the last call. Later errors are its consequences."""
    message = next((line for line in _log if line), otherwise)
    _log.clear()
    return message
