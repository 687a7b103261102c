"""Counts the users of a resource, so that it is closed only after the last one has left."""

from __future__ import annotations

import asyncio
from types import TracebackType


class Users:
    """A count of users. Each user is one `with` block."""

    def __init__(self) -> None:
        self._count = 0
        self._none = asyncio.Event()
        self._none.set()

    def __bool__(self) -> bool:
        return self._count > 0

    def __enter__(self) -> None:
        self._count += 1
        self._none.clear()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._count -= 1
        if not self._count:
            self._none.set()

    async def gone(self) -> None:
        """Wait until there are no users."""
        await self._none.wait()
