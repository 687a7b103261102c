"""Frames on the engine's pipes."""

from __future__ import annotations

import asyncio
import io

import pytest

from llmsuggestd.engine import protocol

SUGGEST = protocol.Suggest(7, ["⊢ p"], "exact", 5, 64, "beam", 0.5, None)
FOUND = protocol.Found([protocol.Suggestion("exact hp", -0.5, True)], False)
RESULT = protocol.Result(7, [FOUND, FOUND], 9, 4, 1.0, 2.0)


def reply_from(data: bytes) -> protocol.Reply | None:
    async def read() -> protocol.Reply | None:
        stream = asyncio.StreamReader()
        stream.feed_data(data)
        stream.feed_eof()
        return await protocol.read_reply(stream)

    return asyncio.run(read())


def test_messages_survive_the_pipe_one_after_another() -> None:
    load = protocol.Load("/m.gguf", "auto", 0, 2048)
    sent: list[protocol.Request] = [load, SUGGEST, protocol.Cancel(7)]
    stream = io.BytesIO(b"".join(map(protocol.frame, sent)))
    assert [protocol.read_request(stream) for _ in range(4)] == [*sent, None]
    assert reply_from(protocol.frame(RESULT)) == RESULT


@pytest.mark.parametrize("cut", [0, 1, 3, 4, 10, -1])
def test_a_cut_frame_is_the_end(cut: int) -> None:
    assert protocol.read_request(io.BytesIO(protocol.frame(SUGGEST)[:cut])) is None
    assert reply_from(protocol.frame(RESULT)[:cut]) is None


@pytest.mark.parametrize(
    "data", [b"HTTP/1.1 200 OK\r\n\r\n", b"\0\0\0\2{]", b"\0\0\0\2{}", protocol.frame(SUGGEST)]
)
def test_bytes_that_are_no_reply_are_refused(data: bytes) -> None:
    with pytest.raises(protocol.ProtocolError):
        reply_from(data)
