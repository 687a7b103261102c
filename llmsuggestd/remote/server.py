"""HTTP requests to a server with `/v1/completions`. Their failures become `RemoteError`s."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import re
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, Final

import aiohttp
import msgspec

from llmsuggestd.errors import LlmsuggestdError
from llmsuggestd.remote import completions, failures
from llmsuggestd.remote.address import Address
from llmsuggestd.remote.completions import Answer
from llmsuggestd.remote.failures import RemoteError
from llmsuggestd.version import __version__

CONNECT_TIMEOUT: Final = 5.0
"""Timeout for making a connection, in seconds, whatever the number of the host's addresses."""

BACK_OFF: Final = (0.25, 1.0)
"""Pauses before a request is sent again, in seconds. Each is varied at random by up to a half."""

MAX_PAUSE: Final = 5.0
"""The longest pause that a server may ask for with `Retry-After`, in seconds."""

MAX_ANSWER: Final = 16 * 2**20
"""Limit of an answer's size, in bytes."""

IDLE: Final = 2.0
"""Seconds for which a connection is kept for the next request. Servers keep theirs for longer: a
server that closes one at the moment of a request makes it fail."""

CONCURRENT: Final = 16
"""Limit of concurrent requests to one server."""


class Server:
    """One model at a server with `/v1/completions`.

    Cancelling a caller closes its request's connection, which makes servers stop generating.
    Redirects and proxies are not followed, so goals are sent to this address only.
    """

    def __init__(self, address: Address, model: str) -> None:
        self.address = address
        self.model = model
        self.key: str | None = None
        """The bearer token to send, if any."""
        self.forbidden: LlmsuggestdError | None = None
        """The error that every request raises, while nothing may be sent."""
        self._running: set[asyncio.Timeout] = set()
        self._slots = asyncio.Semaphore(CONCURRENT)
        self._session: aiohttp.ClientSession | None = None

    def forbid(self, reason: LlmsuggestdError) -> None:
        """Let every request raise `reason`, those under way included."""
        self.forbidden = reason
        for request in self._running:
            request.reschedule(asyncio.get_running_loop().time())
        self._running.clear()  # a timeout that expires cannot be rescheduled again

    def allow(self) -> None:
        """Undo `forbid`."""
        self.forbidden = None

    async def complete(self, request: Mapping[str, object]) -> Answer:
        """Complete a prompt. `request` has the fields of `/v1/completions`, without the model.

        A request is sent again only if nothing was generated before the failure. Raises a
        subclass of RemoteError for each way in which a server can fail.
        """
        body = await self._with_retries({"model": self.model, **request})
        try:
            answer = completions.read(body)
        except completions.Malformed:
            raise failures.NotOpenAI(self.address, "the body has another form") from None
        if not answer.completions:
            raise failures.NotOpenAI(self.address, "`choices` is empty")
        return answer

    async def listed(self) -> list[dict[str, Any]]:
        """The server's list of models, empty if it does not have one.

        Raises RemoteError if there is no connection or the key is wrong.
        """
        status, body, _ = await self._send("GET", f"{self.address.base}/models")
        if status in (401, 403):
            raise failures.Unauthorised(self.address, status, has_key=self.key is not None)
        found = _json(body) if status == 200 else None
        models = found.get("data") if isinstance(found, dict) else None
        listed = models if isinstance(models, list) else []
        return [model for model in listed if isinstance(model, dict)]

    async def ask(self, path: str, request: Mapping[str, object]) -> dict[str, Any] | None:
        """Make a call outside `/v1`. None if the server does not have it.

        Raises RemoteError if the server is busy or broken.
        """
        url = self.address.base.removesuffix("/v1") + path
        status, body, headers = await self._send("POST", url, {"model": self.model, **request})
        if status == 429 or (status >= 500 and status != 501):
            raise await self._refusal(status, body, headers)
        found = _json(body) if status == 200 else None
        return found if isinstance(found, dict) else None

    async def close(self) -> None:
        """End the connections."""
        if self._session is not None:
            await self._session.close()

    async def _with_retries(self, request: Mapping[str, object]) -> bytes:
        """The body of an answer of `/completions`, after up to three tries."""
        for pause in (*BACK_OFF, None):
            try:
                return await self._once(request)
            except RemoteError as error:
                if pause is None or not error.repeatable:
                    raise
                least = (error.after or 0.0) if isinstance(error, failures.Overloaded) else 0.0
                if least > MAX_PAUSE:
                    raise
                # random, so that a server's users do not all come back at the same time
                await asyncio.sleep(max(least, pause * random.uniform(0.5, 1.5)))
        raise AssertionError

    async def _once(self, request: Mapping[str, object]) -> bytes:
        url = f"{self.address.base}/completions"
        status, body, headers = await self._send("POST", url, request)
        if status == 200:
            return body
        raise await self._refusal(status, body, headers)

    async def _refusal(self, status: int, body: bytes, headers: Mapping[str, str]) -> RemoteError:
        """The error for a status other than 200."""
        if status in (401, 403):
            return failures.Unauthorised(self.address, status, has_key=self.key is not None)
        if status == 404:
            return await self._not_found()
        if status == 429:
            return failures.Overloaded(self.address, _seconds(headers.get("Retry-After")))
        if 300 <= status < 400:
            return failures.Redirected(self.address, status)
        words = body[:10_000].decode(errors="replace").lower()
        if re.search(r"logprob|logits_all", words):
            return failures.NoLogprobs(self.address)
        if re.search(r"context|too long|maximum.{0,40}(length|token)|max_new_tokens", words):
            return failures.TooLong(self.address, status)
        if status >= 500:
            return failures.Broken(self.address, status)
        return failures.Refused(self.address, status)

    async def _not_found(self) -> RemoteError:
        known = [str(model.get("id", "")) for model in await self.listed()]
        if known and self.model not in known:
            return failures.NoModel(self.address, self.model, known)
        return failures.NoRoute(self.address)

    async def _send(
        self, method: str, url: str, request: Mapping[str, object] | None = None
    ) -> tuple[int, bytes, Mapping[str, str]]:
        """Send a request. Returns the answer's status, body and headers.

        Raises RemoteError, or `forbidden`.
        """
        data = None if request is None else msgspec.json.encode(request)
        headers = {} if data is None else {"Content-Type": "application/json"}
        if self.key is not None:
            headers["Authorization"] = f"Bearer {self.key}"
        async with self._while_allowed():
            with self._failures():
                async with (
                    self._slots,
                    self._connections().request(
                        method, url, data=data, headers=headers, allow_redirects=False
                    ) as response,
                ):
                    return response.status, await self._body(response), response.headers

    @contextlib.asynccontextmanager
    async def _while_allowed(self) -> AsyncIterator[None]:
        """Raise `forbidden` if it is set, even in the middle of the block."""
        if self.forbidden is not None:
            raise self.forbidden
        try:
            async with asyncio.timeout(None) as request:
                self._running.add(request)
                try:
                    yield
                finally:
                    self._running.discard(request)
        except TimeoutError:
            if self.forbidden is None:
                raise
            raise self.forbidden from None

    def _connections(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(keepalive_timeout=IDLE, limit=CONCURRENT),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": f"llmsuggestd/{__version__}"},
                timeout=aiohttp.ClientTimeout(total=None, connect=CONNECT_TIMEOUT),
            )
        return self._session

    async def _body(self, response: aiohttp.ClientResponse) -> bytes:
        parts = []
        size = 0
        async for part in response.content.iter_any():
            parts.append(part)
            size += len(part)
            if size > MAX_ANSWER:
                raise failures.NotOpenAI(self.address, "it is longer than 16 MiB")
        return b"".join(parts)

    @contextlib.contextmanager
    def _failures(self) -> Iterator[None]:
        """Convert aiohttp's exceptions to those of `failures`."""
        try:
            yield
        except ssl.SSLCertVerificationError:
            raise failures.Untrusted(self.address) from None
        except ssl.SSLError:
            raise failures.NoTls(self.address) from None
        except aiohttp.ConnectionTimeoutError:
            why = f"no response within {CONNECT_TIMEOUT:g} s"
            raise failures.Down(self.address, why, repeatable=False) from None
        except aiohttp.ClientConnectorError as error:
            raise failures.Down(self.address, _why(error)) from None
        except (aiohttp.ClientPayloadError, aiohttp.ServerDisconnectedError, OSError):
            raise failures.CutOff(self.address) from None
        except aiohttp.ClientError:
            raise failures.NotOpenAI(self.address, "it is not HTTP") from None


async def gather(*coroutines: Any) -> list[Any]:
    """Run coroutines concurrently and return their results. If one fails, the rest are cancelled.

    A TaskGroup would raise the failure inside an ExceptionGroup.
    """
    tasks = [asyncio.ensure_future(one) for one in coroutines]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _why(error: aiohttp.ClientConnectorError) -> str:
    """The reason for a failed connection, in words."""
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "the host name is unknown"
    number = error.os_error.errno
    return os.strerror(number).lower() if number else "the connection failed"


def _json(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def _seconds(text: str | None) -> float | None:
    """The seconds in `Retry-After`. None if the header is absent or has a date."""
    return float(text) if text is not None and re.fullmatch(r"\d{1,6}", text.strip()) else None
