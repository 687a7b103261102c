"""Converts and formats quantities."""

from __future__ import annotations


def milliseconds(seconds: float) -> float:
    """Seconds as milliseconds, rounded for the API."""
    return round(seconds * 1000, 2)


def size_text(count: int) -> str:
    """A number of bytes, such as `1.79 GB`."""
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


def device_text(device: str, threads: int | None) -> str:
    """An engine's device, such as `CPU, 2 threads`, or a remote model's server."""
    if threads is None:
        return device
    return f"{device}, 1 thread" if threads == 1 else f"{device}, {threads} threads"
