"""Ends a long command on a signal, in a way that lets it clean up."""

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
    """Turn SIGTERM and SIGHUP into an exception within the block, so that it cleans up.

    A signal that is ignored stays ignored, as with `nohup`.
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
