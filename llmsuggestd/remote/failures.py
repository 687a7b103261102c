"""The ways a server can fail, each in one line with a remedy.

A server's own words are never quoted: they may repeat the goal, and messages reach the log.
"""

from __future__ import annotations

from collections.abc import Sequence

from llmsuggestd.errors import ModelError
from llmsuggestd.remote.address import Address

_LOCAL = "or `llmsuggestd models use starter` for the local one"


class RemoteError(ModelError):
    """A model's server did not give an answer that can be used."""

    code = "remote_failed"
    repeatable = False
    """Whether nothing was generated, so that the same request may be sent again."""
    lasting = True
    """Whether later requests will fail, too, so that the model counts as failed."""


class Down(RemoteError):
    """There is no connection."""

    code = "remote_down"
    repeatable = True

    def __init__(self, address: Address, why: str) -> None:
        super().__init__(f"no connection to {address}: {why}", f"start the server, {_LOCAL}")


class Untrusted(RemoteError):
    """The server's certificate is not valid."""

    code = "remote_untrusted"

    def __init__(self, address: Address) -> None:
        super().__init__(
            f"the certificate of {address} is not valid for this machine, so nothing was sent",
            "add its authority to the system's certificates, or use a tunnel (ssh -L)",
        )


class Unauthorised(RemoteError):
    """The server wants another key."""

    code = "remote_key"

    def __init__(self, address: Address, status: int, *, has_key: bool) -> None:
        what = "refuses the key" if has_key else "wants a key"
        super().__init__(
            f"{address} {what} ({status})",
            "`llmsuggestd models add` with --key, and the same name, replaces it",
        )


class NoModel(RemoteError):
    """The server has no such model."""

    code = "remote_model"

    def __init__(self, address: Address, model: str, known: Sequence[str]) -> None:
        has = ", ".join(known[:5])
        super().__init__(f"{address} has no model {model!r}", f"it has {has}; give one as --model")


class NoRoute(RemoteError):
    """The server does not have the call."""

    code = "remote_route"

    def __init__(self, address: Address) -> None:
        super().__init__(
            f"there is no {address.base}/completions, or not for this model (404)",
            "give the server's URL up to /v1, and its name for the model",
        )


class Redirected(RemoteError):
    """The server sends us elsewhere."""

    code = "remote_redirect"

    def __init__(self, address: Address, status: int) -> None:
        super().__init__(
            f"{address} redirects to another address ({status}), where no goal is sent",
            "give the final URL with `llmsuggestd models add`",
        )


class Overloaded(RemoteError):
    """The server has too many requests."""

    code = "remote_busy"
    repeatable = True
    lasting = False

    def __init__(self, address: Address, after: float | None) -> None:
        """`after`: the seconds after which the server wants to be asked again, if it says so."""
        super().__init__(f"{address} has too many requests (429)", "ask again in a moment")
        self.after = after


class Broken(RemoteError):
    """The server has failed."""

    code = "remote_broken"

    def __init__(self, address: Address, status: int) -> None:
        self.repeatable = status in (502, 503)  # a proxy without a server; one that loads
        super().__init__(f"{address} fails ({status})", f"its own log says why; wait, {_LOCAL}")


class Slow(RemoteError):
    """The answer takes too long."""

    code = "remote_slow"
    lasting = False

    def __init__(self, address: Address, seconds: float) -> None:
        super().__init__(
            f"no answer from {address} within {seconds:g} s",
            "ask for fewer suggestions, or raise `timeout` below `[remote]` in config.toml",
        )


class CutOff(RemoteError):
    """The connection ended before the answer did."""

    code = "remote_cut_off"
    lasting = False

    def __init__(self, address: Address) -> None:
        super().__init__(
            f"{address} ended the connection in the middle of its answer",
            "ask again; its own log may say why",
        )


class Refused(RemoteError):
    """The server refuses the request."""

    code = "remote_refused"
    lasting = False

    def __init__(self, address: Address, status: int) -> None:
        super().__init__(f"{address} refuses the request ({status})", "its own log says why")


class TooLong(Refused):
    """The prompt does not fit into the server's context."""


class NotOpenAI(RemoteError):
    """The answer is not one of OpenAI's `/v1/completions`."""

    code = "remote_answer"

    def __init__(self, address: Address, what: str) -> None:
        super().__init__(
            f"{address} answers with {what} instead of completions in JSON",
            "is that the URL of vLLM, llama.cpp's server, or another with /v1/completions?",
        )


class NoLogprobs(RemoteError):
    """The answer has no log probabilities, by which suggestions are ranked."""

    code = "remote_logprobs"

    def __init__(self, address: Address) -> None:
        super().__init__(
            f"{address} gives no log probabilities, by which suggestions are ranked",
            "start it so that it does (`llama_cpp.server`: --logits_all true), or use another",
        )


class WrongTokenizer(RemoteError):
    """The server's tokenizer is not one for the model's format."""

    code = "remote_tokenizer"

    def __init__(self, address: Address, what: str) -> None:
        super().__init__(
            f"the tokenizer at {address} {what}",
            "is the model there the one that --model and --format say?",
        )
