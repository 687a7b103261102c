"""Ending a long command by a signal, so that it still cleans up after itself."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Iterator
from types import FrameType
from typing import NoReturn

import click


@contextlib.contextmanager
def terminating() -> Iterator[None]:
    """Let SIGTERM (and a closed terminal) end the block as an exception, so that it cleans up.

    A signal that was ignored still is: `nohup` has it so.
    """

    def stop(number: int, frame: FrameType | None) -> NoReturn:  # noqa: ARG001
        click.echo(f"llmsuggestd: stopped by {signal.Signals(number).name}", err=True)
        sys.exit(128 + number)

    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    heeded = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]
    old = {number: signal.signal(number, stop) for number in heeded}
    try:
        yield
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
