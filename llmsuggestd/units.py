"""Converts and formats quantities."""

from __future__ import annotations


def milliseconds(seconds: float) -> float:
    """Seconds as milliseconds, rounded for the API."""
    return round(seconds * 1000, 2)


def size_text(count: int) -> str:
    """A number of bytes, such as `1.79 GB`."""
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


def threads_text(count: int) -> str:
    """A number of threads, such as `2 threads`."""
    return "1 thread" if count == 1 else f"{count} threads"
