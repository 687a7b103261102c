"""The protocol between daemon and engine: length-prefixed JSON on the engine's pipes.

A frame is four bytes, the length of the JSON text that follows (big-endian). The daemon writes
requests to the engine's standard input, and the engine answers on its standard output. It exits
when its standard input ends, so no engine outlives its daemon.

| daemon → engine | engine → daemon |
|---|---|
| `Load` (first) | `Loaded`, or `Failed` with `id` null |
| `Suggest` | `Result` or `Failed` with the same `id` |
| `Cancel` | (the cancelled request ends with `Failed`, code `cancelled`) |
"""

from __future__ import annotations

import asyncio
import struct
from typing import BinaryIO, Final, Literal

import msgspec

from llmsuggestd.formats import LLMSTEP, Format

MAX_FRAME = 16 * 2**20
"""Limit of a frame in bytes. It is far above a request's limit: a longer frame is a fault."""

_LENGTH = struct.Struct(">I")


Kernels = Literal["own", "repacked", "plain"]
"""The code that multiplies by quantised weights on the CPU: our own kernels, llama.cpp's with extra
buffer types (repacked weights, AMX), or llama.cpp's without them."""

KERNELS: Final[tuple[Kernels, ...]] = ("own", "repacked", "plain")
"""The order of preference, fastest first. `plain` works on every machine."""


class Load(msgspec.Struct, tag="load"):
    """Load a model and try it with one decode."""

    path: str
    gpu: Literal["auto", "off"] | int
    threads: int
    context: int
    kernels: tuple[Kernels, ...] = KERNELS
    """The kernels that may be used, in order of preference. The engine uses the first possible."""
    format: Format = LLMSTEP
    """The prompt format of the model."""


class Suggest(msgspec.Struct, tag="suggest"):
    """Ask for suggestions. The fields are those of `POST /v1/suggest`."""

    id: int
    goals: list[str]
    """At most MAX_GOALS goals, which are decoded together."""
    prefix: str
    n: int
    max_tokens: int
    mode: Literal["beam", "sample"]
    temperature: float
    seed: int | None
    context: str = ""
    name: str = ""


class Cancel(msgspec.Struct, tag="cancel"):
    """Cancel a request. This has no effect if it has been answered."""

    id: int


class Loaded(msgspec.Struct, tag="loaded"):
    """The model is loaded and has decoded once."""

    description: str
    """llama.cpp's description, such as `gptneox 2.8B Q4_K - Medium`."""
    device: str
    """The device with the weights, and the number of layers offloaded to it."""
    parameters: int
    bytes: int
    context: int
    """Tokens of context, prompt and all candidates together."""
    threads: int
    kernels: Kernels | Literal["gpu"]
    """The kernels in use; `gpu` if layers are offloaded."""
    load_ms: float
    instructions: str | None = None
    """The instruction set that our own kernels use; None with others."""


class Suggestion(msgspec.Struct):
    """One suggestion, as `POST /v1/suggest` returns it."""

    text: str
    """The tactic, prefix included."""
    score: float
    """Mean log probability of the tokens after the prefix."""
    finished: bool
    """Whether the model ended it; False if it was cut off at `max_tokens`."""


class Found(msgspec.Struct):
    """The suggestions for one goal."""

    suggestions: list[Suggestion]
    truncated: bool
    """Whether a part of the goal was left out, because the prompt was longer than the context."""


class Result(msgspec.Struct, tag="result"):
    """The answer to a `Suggest`."""

    id: int
    found: list[Found]
    """The suggestions for each goal, in the request's order."""
    prompt_tokens: int
    """The number of tokens of all prompts."""
    reused_tokens: int
    """The number of these tokens that were in the cache."""
    prompt_ms: float
    decode_ms: float


class Failed(msgspec.Struct, tag="failed"):
    """A request has failed, or the load if `id` is null."""

    id: int | None
    code: str
    message: str
    hint: str = ""
    """A remedy, if one is known."""


Request = Load | Suggest | Cancel
Reply = Loaded | Result | Failed

_encode = msgspec.json.Encoder().encode
_requests: msgspec.json.Decoder[Request] = msgspec.json.Decoder(Request)
_replies: msgspec.json.Decoder[Reply] = msgspec.json.Decoder(Reply)


class ProtocolError(Exception):
    """The peer sent data that is not a frame of this protocol."""


def frame(message: Request | Reply) -> bytes:
    """Encode a message as a frame."""
    body = _encode(message)
    return _LENGTH.pack(len(body)) + body


def read_request(stream: BinaryIO) -> Request | None:
    """Read the next request, in the engine. None at the end of the stream."""
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(head)
    if length > MAX_FRAME:
        raise ProtocolError(f"frame of {length} bytes")
    body = stream.read(length)
    return _requests.decode(body) if len(body) == length else None


async def read_reply(stream: asyncio.StreamReader) -> Reply | None:
    """Read the next reply, in the daemon. None at the end of the stream.

    Raises ProtocolError if the data is not a reply.
    """
    try:
        (length,) = _LENGTH.unpack(await stream.readexactly(_LENGTH.size))
        if length > MAX_FRAME:
            raise ProtocolError(f"frame of {length} bytes")
        return _replies.decode(await stream.readexactly(length))
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    except msgspec.MsgspecError as error:
        raise ProtocolError(str(error)) from error
