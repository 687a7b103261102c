"""Declaring the calls of the HTTP API.

The route, the validation of the body and the entry in `/openapi.json` all come from one
declaration, so they cannot differ.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from aiohttp import web
from msgspec import Struct

from llmsuggestd.daemon.schema import MAX_BODY, PATTERNS
from llmsuggestd.errors import ExitCode, LlmsuggestdError, UsageError

JSON: Final = "application/json"
NDJSON: Final = "application/x-ndjson"
"""One JSON object per line."""

API_HINT: Final = "`GET /openapi.json` on the daemon's socket describes every call"

BODY_TIMEOUT: Final = 10.0
"""Timeout for a request's body, in seconds."""

Answer = Struct | web.StreamResponse
Handler = Callable[[web.Request, Any], Awaitable[Answer]]


class WrongType(LlmsuggestdError):
    """The request's content type is not JSON."""

    code = "unsupported_media_type"


class TooLarge(LlmsuggestdError):
    """The body is over the limit."""

    code = "too_large"
    exit_code = ExitCode.USAGE


class TooSlow(LlmsuggestdError):
    """The body did not arrive in time."""

    code = "timeout"


@dataclass(frozen=True)
class Call:
    """One call of the API."""

    method: str
    path: str
    group: str
    """`llmsuggestd`, or the client that the call is compatible with."""
    summary: str
    handler: Handler
    body: type[Struct] | None
    answers: tuple[type[Struct], ...]
    """The JSON answers; none if the answer is of another type."""
    errors: tuple[int, ...]
    """The statuses of its own errors. Errors of access and of wrong bodies are added."""
    statuses: Mapping[int, type[Struct]]
    """Further statuses that are not errors."""
    media: Mapping[str, type[Struct] | None]
    """Further media types of the answer."""

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Answer a request that access control has allowed."""
        body = await read_body(request, self.body) if self.body is not None else None
        answer = await self.handler(request, body)
        return answer if isinstance(answer, web.StreamResponse) else json_response(answer)


@dataclass
class Calls:
    """A group of calls, which `declare` adds to."""

    group: str
    calls: list[Call] = field(default_factory=list)

    def declare(
        self,
        method: str,
        path: str,
        *,
        body: type[Struct] | None = None,
        answer: type[Struct] | tuple[type[Struct], ...] = (),
        errors: tuple[int, ...] = (),
        statuses: Mapping[int, type[Struct]] | None = None,
        media: Mapping[str, type[Struct] | None] | None = None,
    ) -> Callable[[Handler], Handler]:
        """Declare the decorated function as a call's handler.

        The first line of its docstring is the call's summary.
        """

        def add(handler: Handler) -> Handler:
            # under `python -OO` there are no docstrings
            summary = (handler.__doc__ or handler.__name__).strip().splitlines()[0]
            answers = answer if isinstance(answer, tuple) else (answer,)
            self.calls.append(
                Call(
                    method, path, self.group, summary, handler, body, answers, errors,
                    statuses or {}, media or {},
                )
            )  # fmt: skip
            return handler

        return add


async def read_body(request: web.Request, type_: type[Struct]) -> Struct:
    """Decode a request's body. Raises WrongType, TooSlow, TooLarge or UsageError."""
    if request.content_type != JSON:
        raise WrongType("the body must be JSON", "send Content-Type: application/json")
    try:
        async with asyncio.timeout(BODY_TIMEOUT):
            data = await request.read()
    except TimeoutError:
        raise TooSlow(f"the body did not arrive within {BODY_TIMEOUT:.0f} s", "") from None
    except web.HTTPRequestEntityTooLarge:
        raise TooLarge(
            f"the body is larger than {MAX_BODY} bytes",
            "send the goal, and less of the file above it",
        ) from None
    except web.RequestPayloadError as error:
        raise UsageError(f"the body is broken: {error}", "") from None
    try:
        return _decode(data, type_)
    except msgspec.ValidationError as error:
        raise invalid(error) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"the body is not JSON: {error}", 'send {"goal": "⊢ ..."}') from None
    except RecursionError:
        raise UsageError("the body is nested too deeply", API_HINT) from None


def _decode(data: bytes, type_: type[Struct]) -> Struct:
    """Decode JSON as a type. 5.0 is accepted as the integer 5, as JSON Schema does."""
    try:
        return msgspec.json.decode(data, type=type_)
    except msgspec.ValidationError as error:
        if "got `float`" not in str(error):
            raise
        return msgspec.convert(_whole_numbers(msgspec.json.decode(data)), type_)


def _whole_numbers(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_whole_numbers(item) for item in value]
    if isinstance(value, dict):
        return {key: _whole_numbers(item) for key, item in value.items()}
    return value


def invalid(error: msgspec.ValidationError) -> UsageError:
    """The error for an invalid body, with words instead of patterns."""
    text = str(error)
    for pattern, words in PATTERNS.items():
        text = text.replace(f"`str` matching regex {pattern!r}", words)
    text, too_long = re.subn(r"`str` of length <= (\d+)", r"text of at most \1 characters", text)
    text = re.sub(r"`array` of length >= 1", "a list that is not empty", text)
    text = re.sub(r"`array` of length <= (\d+)", r"a list of at most \1", text)
    return UsageError(f"invalid request: {text}", "shorten it" if too_long else API_HINT)


def json_response(value: Any, status: int = 200) -> web.Response:
    """A response with a value as JSON."""
    return web.Response(body=msgspec.json.encode(value), status=status, content_type=JSON)


def refusal(status: int, code: str, message: str, hint: str) -> web.Response:
    """An error response, in the form of all errors."""
    response = json_response({"error": {"code": code, "message": message, "hint": hint}}, status)
    if status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    if status == 503:
        response.headers["Retry-After"] = "1"
    return response
