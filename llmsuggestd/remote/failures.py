"""The ways in which a server can fail, each with a message of one line and a remedy.

Messages never quote the server, apart from the names of its models: its words may repeat the goal,
and messages reach the log.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from llmsuggestd.errors import ModelError
from llmsuggestd.remote.address import Address

_LOCAL: Final = "or switch to the local model with `llmsuggestd models use starter`"

_NAME: Final = re.compile(r"[!-~]{1,100}")
"""A model's name that a message may quote."""


class RemoteError(ModelError):
    """A remote model's server gave no usable answer."""

    code = "remote_failed"
    repeatable = False
    """Whether the same request may be sent again, because nothing was generated."""
    lasting = True
    """Whether later requests will fail too. The model then counts as failed."""


class Unreached(RemoteError):
    """There was no connection, so nothing was sent."""


class Down(Unreached):
    """The connection could not be made."""

    code = "remote_down"

    def __init__(self, address: Address, why: str, *, repeatable: bool = True) -> None:
        self.repeatable = repeatable
        super().__init__(f"no connection to {address}: {why}", f"start the server, {_LOCAL}")


class Untrusted(Unreached):
    """The server's certificate is not valid."""

    code = "remote_untrusted"

    def __init__(self, address: Address) -> None:
        super().__init__(
            f"this machine does not trust the certificate of {address}, so nothing was sent",
            "add its certificate authority to the system's, or use a tunnel (ssh -L)",
        )


class NoTls(Unreached):
    """The server has no TLS, or no version of it that this machine accepts."""

    code = "remote_no_tls"

    def __init__(self, address: Address) -> None:
        super().__init__(
            f"no TLS connection to {address} could be made, so nothing was sent",
            "if the server has no https, use http:// on this machine, or a tunnel (ssh -L)",
        )


class Unauthorised(RemoteError):
    """The server requires a key, or rejects the one that it got."""

    code = "remote_key"

    def __init__(self, address: Address, status: int, *, has_key: bool) -> None:
        what = "rejects the key" if has_key else "requires a key"
        super().__init__(
            f"{address} {what} ({status})",
            "set it: `llmsuggestd models add` with the same name and --key",
        )


class NoModel(RemoteError):
    """The server has no such model."""

    code = "remote_model"

    def __init__(self, address: Address, model: str, known: Sequence[str]) -> None:
        names = [name for name in known if _NAME.fullmatch(name)][:5]
        hint = f"it has {', '.join(names)}: use one as --model" if names else "give another --model"
        super().__init__(f"{address} has no model {model!r}", hint)


class NoRoute(RemoteError):
    """The server does not have `/v1/completions`."""

    code = "remote_route"

    def __init__(self, address: Address) -> None:
        super().__init__(
            f"{address.base}/completions does not exist, or not for this model (404)",
            "check the server's URL, up to /v1, and its name for the model",
        )


class Redirected(RemoteError):
    """The server redirects to another address."""

    code = "remote_redirect"

    def __init__(self, address: Address, status: int) -> None:
        super().__init__(
            f"{address} redirects to another address ({status}); goals are not sent there",
            "use the final URL with `llmsuggestd models add`",
        )


class Overloaded(RemoteError):
    """The server has too many requests."""

    code = "remote_busy"
    repeatable = True
    lasting = False

    def __init__(self, address: Address, after: float | None) -> None:
        """`after` is the server's `Retry-After` in seconds, if there is one."""
        super().__init__(f"{address} has too many requests (429)", "try again in a moment")
        self.after = after


class Broken(RemoteError):
    """The server failed while it handled the request."""

    code = "remote_broken"

    def __init__(self, address: Address, status: int) -> None:
        self.repeatable = status in (502, 503)  # the server behind a proxy is down, or loading
        super().__init__(
            f"{address} failed with status {status}", f"see its log, and wait, {_LOCAL}"
        )


class Slow(RemoteError):
    """There was no answer within the timeout."""

    code = "remote_slow"
    lasting = False

    def __init__(self, address: Address, seconds: float) -> None:
        super().__init__(
            f"no answer from {address} within {seconds:g} s",
            "ask for fewer suggestions, or raise `timeout` under `[remote]` in config.toml",
        )


class CutOff(RemoteError):
    """The connection ended before the answer did."""

    code = "remote_cut_off"
    lasting = False

    def __init__(self, address: Address) -> None:
        super().__init__(
            f"{address} closed the connection in the middle of its answer",
            "try again; its log may have the reason",
        )


class Refused(RemoteError):
    """The server refuses the request."""

    code = "remote_refused"
    lasting = False

    def __init__(self, address: Address, status: int) -> None:
        super().__init__(f"{address} refuses the request ({status})", "see the server's log")


class TooLong(Refused):
    """The prompt does not fit into the server's context."""


class NotOpenAI(RemoteError):
    """The answer does not have the form of OpenAI's `/v1/completions`."""

    code = "remote_answer"

    def __init__(self, address: Address, fault: str) -> None:
        super().__init__(
            f"{address} did not answer with completions in JSON: {fault}",
            "check that the URL is that of vLLM, llama.cpp's server, or another server with"
            " /v1/completions",
        )


class NoLogprobs(RemoteError):
    """The answer has no log probabilities, so suggestions cannot be ranked."""

    code = "remote_logprobs"

    def __init__(self, address: Address) -> None:
        super().__init__(
            f"{address} returns no log probabilities, so suggestions cannot be ranked",
            "enable them (`llama_cpp.server`: --logits_all true), or use another server",
        )


class WrongTokenizer(RemoteError):
    """The server's tokenizer does not fit the model's format."""

    code = "remote_tokenizer"

    def __init__(self, address: Address, fault: str) -> None:
        super().__init__(
            f"the tokenizer at {address} {fault}",
            "check that --model and --format describe the model that it serves",
        )
