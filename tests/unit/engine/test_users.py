"""Counting the users of an engine."""

from __future__ import annotations

import asyncio

import pytest

from llmsuggestd.engine.users import Users


def test_gone_waits_until_the_last_user_has_left() -> None:
    async def run() -> None:
        users = Users()
        await users.gone()
        with users:
            gone = asyncio.create_task(users.gone())
            with pytest.raises(RuntimeError), users:
                raise RuntimeError
            await asyncio.sleep(0)
            assert users
            assert not gone.done()
        await gone
        assert not users

    asyncio.run(run())
