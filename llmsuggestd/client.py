"""The blocking client of the command line and the tray, over the socket or the port."""

from __future__ import annotations

import http.client
import json
import os
import socket
from collections.abc import Generator
from pathlib import Path
from typing import Any

import msgspec

from llmsuggestd.errors import ExitCode, LlmsuggestdError, NotRunningError
from llmsuggestd.paths import Paths

REMEDY = "start it with `llmsuggestd start`"


class Refused(LlmsuggestdError):
    """The daemon answered with an error, carried here as it came."""

    def __init__(self, status: int, code: str, message: str, hint: str) -> None:
        super().__init__(message, hint)
        self.status = status
        self.code = code
        if status in (400, 413, 422):
            self.exit_code = ExitCode.USAGE
        elif code.startswith("model"):
            self.exit_code = ExitCode.MODEL


class Discovery(msgspec.Struct):
    """The part of `client.json` that a client needs."""

    socket: str | None
    url: str
    token_file: str

    @classmethod
    def read(cls, paths: Paths) -> Discovery:
        """Read `client.json`. Raises OSError, msgspec.DecodeError."""
        return msgspec.json.decode(paths.client_file.read_bytes(), type=cls)


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Client:
    """One daemon, found as every client finds it.

    `$LLMSUGGESTD_SOCKET` if set, else what `client.json` says: its socket, or where there are no
    Unix sockets its URL with the token.
    """

    def __init__(self, paths: Paths) -> None:
        self._paths = paths

    def request(
        self, method: str, path: str, body: object | None = None, *, timeout: float = 10.0
    ) -> dict[str, Any]:
        """Send a request and return the JSON object that comes back.

        Raises NotRunningError if nobody answers, Refused if the daemon says no.
        """
        try:
            connection, headers = self._connection(timeout)
            try:
                data = None if body is None else json.dumps(body).encode()
                if data is not None:
                    headers["Content-Type"] = "application/json"
                connection.request(method, path, data, headers)
                response = connection.getresponse()
                answer = json.loads(response.read())
            finally:
                connection.close()
        except TimeoutError as error:
            raise NotRunningError(
                f"the daemon did not answer within {timeout:.0f} s", "try `llmsuggestd restart`"
            ) from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise NotRunningError("the daemon does not answer", REMEDY) from error
        return _accepted(response.status, answer)

    def status(self) -> dict[str, Any] | None:
        """The daemon's status, or None if none answers."""
        try:
            return self.request("GET", "/v1/status")
        except NotRunningError:
            return None

    def events(self, *, timeout: float = 30.0) -> Generator[dict[str, Any]]:
        """The daemon's status now and whenever it changes, until the daemon ends.

        `timeout` must be above the daemon's heartbeat of 15 s. Raises NotRunningError if nobody
        answers, nothing comes any more, or the stream is cut off: the daemon was killed.
        """
        try:
            connection, headers = self._connection(timeout)
            try:
                connection.request("GET", "/v1/events", headers=headers)
                response = connection.getresponse()
                for line in response:
                    yield _accepted(response.status, json.loads(line))
                if getattr(response, "chunk_left", None) == 0:  # the last chunk has not come
                    raise http.client.IncompleteRead(b"")
            finally:
                connection.close()
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise NotRunningError("the daemon does not answer", REMEDY) from error

    def _connection(self, timeout: float) -> tuple[http.client.HTTPConnection, dict[str, str]]:
        if path := os.environ.get("LLMSUGGESTD_SOCKET"):
            return UnixConnection(path, timeout), {}
        try:
            found = Discovery.read(self._paths)
        except FileNotFoundError:
            # a daemon that could not write it, on a full disk say, listens in the usual place
            if hasattr(socket, "AF_UNIX") and self._paths.socket.is_socket():
                return UnixConnection(str(self._paths.socket), timeout), {}
            raise NotRunningError("the daemon does not run", REMEDY) from None
        except (OSError, msgspec.DecodeError) as error:
            raise NotRunningError(
                f"{self._paths.client_file} does not say how to reach the daemon",
                "`llmsuggestd restart` writes it anew",
            ) from error
        if found.socket and hasattr(socket, "AF_UNIX"):
            return UnixConnection(found.socket, timeout), {}
        token = Path(found.token_file).read_text(encoding="ascii")
        address = found.url.removeprefix("http://")
        return (
            http.client.HTTPConnection(address, timeout=timeout),
            {"Authorization": f"Bearer {token}"},
        )


def _accepted(status: int, answer: Any) -> dict[str, Any]:
    """An answer of the daemon's, if it is one and says yes.

    Raises Refused with the daemon's error, NotRunningError if somebody else has answered.
    """
    try:
        if (problem := answer.get("error")) is not None:
            raise Refused(status, problem["code"], problem["message"], problem["hint"])
    except (AttributeError, KeyError, TypeError) as error:
        raise NotRunningError(
            "what answers in the daemon's place is another program", REMEDY
        ) from error
    accepted: dict[str, Any] = answer
    return accepted
