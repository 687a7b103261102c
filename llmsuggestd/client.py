"""The blocking client of the command line and the tray, over the socket or the port."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from llmsuggestd import discovery
from llmsuggestd.config import load_config
from llmsuggestd.errors import ConfigError, ExitCode, LlmsuggestdError, NotRunningError
from llmsuggestd.lock import holder
from llmsuggestd.paths import Paths, home_override, socket_override

REMEDY = "start it with `llmsuggestd start`"
SWITCH_TIMEOUT: Final = 310.0
"""Timeout for switching models, in seconds. The daemon's own timeout for a load is 300."""


def elsewhere() -> str:
    """The remedy for a daemon of this home that runs on another machine or in a container."""
    variable = "LLMSUGGESTD_HOME" if home_override() else "XDG_RUNTIME_DIR"
    return f"stop it there, or set {variable} to a folder that only this machine uses"


class Refused(LlmsuggestdError):
    """The daemon answered with an error, carried here as it came."""

    def __init__(self, status: int, code: str, message: str, hint: str) -> None:
        super().__init__(message, hint)
        self.status = status
        self.code = code
        if code in ("config", "remote_not_allowed"):
            self.exit_code = ExitCode.CONFIG
        elif code.startswith(("model", "remote_")):
            self.exit_code = ExitCode.MODEL
        elif code == "internal":
            self.exit_code = ExitCode.FAULT
        elif status in (400, 413, 422):
            self.exit_code = ExitCode.USAGE


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

    The address is `$LLMSUGGESTD_SOCKET` if set; else the socket in `client.json`, or in its usual
    place; else the URL with the token, for systems without Unix sockets.
    """

    def __init__(self, paths: Paths, *, overridable: bool = True) -> None:
        """Without `overridable`, `$LLMSUGGESTD_SOCKET` does not count."""
        self._paths = paths
        self._overridable = overridable

    def request(
        self, method: str, path: str, body: object | None = None, *, timeout: float = 10.0
    ) -> dict[str, Any]:
        """Send a request. Returns the JSON object of the answer.

        Raises NotRunningError if no daemon answers, Refused if the answer is an error.
        """
        try:
            connection, headers = self._connected(timeout)
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

    def use_model(self, model_id: str) -> None:
        """Make the daemon serve an installed model, and wait until it does.

        Raises NotRunningError and Refused. The daemon then serves the same model as before.
        """
        self.request("PUT", "/v1/model", {"id": model_id}, timeout=SWITCH_TIMEOUT)

    def events(self, *, timeout: float = 30.0) -> Generator[dict[str, Any]]:
        """The daemon's status now and whenever it changes, until the daemon ends.

        `timeout` must be above the daemon's heartbeat of 15 s. Raises NotRunningError if no daemon
        answers, or the stream stalls or is cut off because the daemon was killed.
        """
        try:
            connection, headers = self._connected(timeout)
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

    def _connected(self, timeout: float) -> tuple[http.client.HTTPConnection, dict[str, str]]:
        """A connection to the first address that answers, and the headers for it.

        Raises TimeoutError, NotRunningError.
        """
        for connection, headers in self._doors(timeout):
            try:
                connection.connect()
            except TimeoutError:
                raise
            except OSError:
                continue
            return connection, headers
        raise self._closed()

    def _doors(self, timeout: float) -> Iterator[tuple[http.client.HTTPConnection, dict[str, str]]]:
        """The possible addresses of the daemon, the likeliest first."""
        if self._overridable and (path := socket_override()):
            yield UnixConnection(str(path), timeout), {}
            return
        own = other = None
        with contextlib.suppress(OSError, msgspec.DecodeError):
            record = discovery.read(self._paths)
            own, other = (None, record) if record.is_elsewhere else (record, None)
        if hasattr(socket, "AF_UNIX"):
            if own is not None and own.socket:
                yield UnixConnection(own.socket, timeout), {}
            yield UnixConnection(self._usual_socket(), timeout), {}
            if other is not None and other.socket:  # through a shared folder, perhaps
                yield UnixConnection(other.socket, timeout), {}
        # After a crash, another program may have the port. It must not get the token.
        if own is not None and not own.socket and (own.runs or not own.started):
            with contextlib.suppress(OSError, UnicodeDecodeError):
                token = Path(own.token_file).read_text(encoding="ascii")
                address = own.url.removeprefix("http://")
                headers = {"Authorization": f"Bearer {token}"}
                yield http.client.HTTPConnection(address, timeout=timeout), headers

    def _usual_socket(self) -> str:
        """The socket that a daemon with these settings listens on."""
        try:
            return str(load_config(self._paths).socket_path(self._paths))
        except ConfigError:
            return str(self._paths.socket)

    def _closed(self) -> NotRunningError:
        """The error if no address answers. The lock shows whether a daemon runs nevertheless."""
        if path := socket_override():
            return NotRunningError(
                f"no daemon answers at {path}, which LLMSUGGESTD_SOCKET names", REMEDY
            )
        process = holder(self._paths.lock_file)
        if process is None:
            return NotRunningError("the daemon does not run", REMEDY)
        if process.is_elsewhere:
            return NotRunningError(
                f"the daemon of this home runs elsewhere ({process}) and cannot be asked from here",
                elsewhere(),
            )
        return NotRunningError(
            f"the daemon ({process}) does not answer", "try `llmsuggestd restart`"
        )


def _accepted(status: int, answer: Any) -> dict[str, Any]:
    """The answer of a request, if it is the daemon's and successful.

    Raises Refused with the daemon's error, NotRunningError if another program has answered.
    """
    try:
        if (problem := answer.get("error")) is not None:
            raise Refused(status, problem["code"], problem["message"], problem["hint"])
    except (AttributeError, KeyError, TypeError) as error:
        raise NotRunningError(
            "another program is answering at the daemon's address", "`llmsuggestd doctor` names it"
        ) from error
    accepted: dict[str, Any] = answer
    return accepted
