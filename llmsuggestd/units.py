"""Formats quantities for messages."""

from __future__ import annotations


def size_text(count: int) -> str:
    """A number of bytes, such as `1.79 GB`."""
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


def threads_text(count: int) -> str:
    """A number of threads, such as `2 threads`."""
    return "1 thread" if count == 1 else f"{count} threads"
