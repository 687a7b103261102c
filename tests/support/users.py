"""Runs code as another user, which requires root."""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Callable
from typing import Final, TypeVar

import pytest

T = TypeVar("T")

ANOTHER: Final = 12345
"""The uid of a user without an account."""

needs_root = pytest.mark.skipif(
    sys.platform == "win32" or os.geteuid() != 0, reason="must be root to act as another user"
)


def as_another(action: Callable[[], T], uid: int = ANOTHER) -> T:
    """Run `action` in a process of another user. Returns its result, or raises its exception."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(uid)
            os.setuid(uid)
            result: tuple[bool, object] = (True, action())
        except BaseException as error:
            result = (False, error)
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(pickle.dumps(result))
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        works, value = pickle.loads(pipe.read())
    os.waitpid(child, 0)
    if not works:
        raise value
    return value  # type: ignore[no-any-return]
