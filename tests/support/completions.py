"""A server on this machine with OpenAI's `/v1/completions`. `Faults` makes it fail."""

from __future__ import annotations

import contextlib
import json
import select
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

CONTINUATIONS = (
    ("exact And.intro hp hq", (-0.1, -0.2, -0.3)),
    ("simp_all", (-0.5, -0.1)),
    ("constructor", (-0.9,)),
    ("exact ⟨hp, hq⟩", (-0.2, -0.24)),
)
"""The completions that the server generates in turn, with the log probability of each token."""


@dataclass
class Faults:
    """The server's faults."""

    statuses: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    """Status and headers of the answers to the next requests for completions."""
    helper_statuses: list[int] = field(default_factory=list)
    """Statuses of the answers to the next requests for tokens or their text."""
    words: str = "out of order"
    """The error message in these answers."""
    body: bytes | None = None
    """The body of every answer, instead of completions."""
    cut: bool = False
    """Whether the connection ends in the middle of an answer."""
    hang_up: bool = False
    """Whether the connection ends before the answer."""
    seconds: float = 0.0
    """Duration of an answer."""
    without_logprobs: bool = False
    part_of_a_character: int | None = None
    """A token whose log probabilities are left out, as llama.cpp's server does where a token ends
    inside a character."""
    longest: int | None = None
    """Longest prompt that fits the context, in characters; None: no limit."""


@dataclass
class Completions:
    """The server's address and abilities, and a record of its requests."""

    port: int
    model: str = "prover"
    key: str | None = None
    ids: bool = False
    """Whether it takes prompts of tokens and answers with tokens' ids, which a beam search needs.
    Then the log probabilities of `continuations` are those of their tokens: the text, empty ones,
    and the end token."""
    many: bool = True
    """Whether the server obeys `n`."""
    slots: int | None = None
    """The largest `n` that the server accepts, as llama.cpp's does; None: any."""
    tokens: dict[str, list[int]] | None = None
    """The answers of `/tokenize`, by text; None: the server has no such call."""
    detokenized: str = "⊢ ∧"
    continuations: tuple[tuple[str, tuple[float, ...]], ...] = CONTINUATIONS
    faults: Faults = field(default_factory=Faults)
    asked: list[dict[str, Any]] = field(default_factory=list)
    """The bodies of the requests for completions."""
    tokenized: list[str] = field(default_factory=list)
    """The texts in the requests for tokens."""
    headers: list[dict[str, str]] = field(default_factory=list)
    """The headers of every request, with lower-case names."""
    waiting: threading.Event = field(default_factory=threading.Event)
    """Set when an answer with a duration has begun."""
    at_a_time: int = 0
    most_at_a_time: int = 0
    """The largest number of simultaneous answers."""
    left: threading.Event = field(default_factory=threading.Event)
    """Set when a client closes its connection before the answer."""

    @property
    def url(self) -> str:
        """The URL to give to `models add`."""
        return f"http://127.0.0.1:{self.port}/v1"


@contextlib.contextmanager
def completions(tls: ssl.SSLContext | None = None) -> Iterator[Completions]:
    """Run a server until the block ends; with a context, over TLS."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        server.daemon_threads = True
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        state = Completions(server.server_address[1])
        _Handler.states[state.port] = state
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield state
        finally:
            server.shutdown()
            thread.join()
            del _Handler.states[state.port]


def free_port() -> int:
    """A port on which no program listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


class _Handler(BaseHTTPRequestHandler):
    states: dict[int, Completions] = {}  # noqa: RUF012

    @property
    def state(self) -> Completions:
        assert isinstance(self.server, ThreadingHTTPServer)
        return self.states[self.server.server_port]

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        if not self.enter():
            return
        if self.path == "/v1/models":
            self.reply({"data": [{"id": self.state.model}]})
        else:
            self.reply({"error": "no such route"}, 404)

    def do_POST(self) -> None:
        if not self.enter():
            return
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/v1/completions":
            self.complete(asked)
        elif self.state.faults.helper_statuses:
            self.reply({"error": "busy"}, self.state.faults.helper_statuses.pop(0))
        elif self.path == "/tokenize" and self.has_tokens():
            self.state.tokenized.append(asked["prompt"])
            self.reply({"tokens": (self.state.tokens or {}).get(asked["prompt"], [1, 2, 3])})
        elif self.path == "/detokenize" and self.has_tokens():
            texts = dict(self.vocabulary())
            text = "".join(texts.get(token, "") for token in asked["tokens"])
            self.reply({"prompt": self.state.detokenized + text})
        else:
            self.reply({"error": "no such route"}, 404)

    def enter(self) -> bool:
        """Whether the request has the key, or needs none. Answers it with 401 if not."""
        self.state.headers.append({name.lower(): value for name, value in self.headers.items()})
        key = self.state.key
        if key is not None and self.headers["Authorization"] != f"Bearer {key}":
            self.reply({"error": "wrong key"}, 401)
            return False
        return True

    def complete(self, asked: dict[str, Any]) -> None:
        state, faults = self.state, self.state.faults
        state.asked.append(asked)
        if faults.statuses:
            status, headers = faults.statuses.pop(0)
            self.reply({"error": {"message": faults.words}}, status, headers)
        elif asked["model"] != state.model:
            self.reply({"error": "no such model"}, 404)
        elif self.state.slots is not None and asked.get("n", 1) > self.state.slots:
            self.reply({"error": {"message": "Field 'n': Value must be smaller"}}, 400)
        elif faults.longest is not None and len(asked["prompt"]) > faults.longest:
            self.reply({"error": {"message": "This model's maximum context length is 9"}}, 400)
        elif faults.hang_up:
            self.close_connection = True
        elif not self.wait():
            state.left.set()
        elif faults.body is not None:
            self.send(faults.body)
        else:
            self.send(json.dumps(self.answer(asked)).encode())

    def wait(self) -> bool:
        """Wait for the duration of an answer. Returns whether the client has stayed."""
        if self.state.faults.seconds:
            self.state.waiting.set()
        self.state.at_a_time += 1
        self.state.most_at_a_time = max(self.state.most_at_a_time, self.state.at_a_time)
        until = time.monotonic() + self.state.faults.seconds
        try:
            while time.monotonic() < until:
                if select.select([self.connection], [], [], 0.02)[0]:
                    return False
            return True
        finally:
            self.state.at_a_time -= 1

    def answer(self, asked: dict[str, Any]) -> dict[str, Any]:
        if isinstance(asked["prompt"], list):
            prompts = list(enumerate(asked["prompt"]))
            choices = [self.next_tokens(i, one, asked["max_tokens"]) for i, one in prompts]
            for choice in choices:
                name = f"token_id:{self.state.faults.part_of_a_character}"
                if choice["logprobs"]["tokens"] == [name] and "logit_bias" not in asked:
                    choice["logprobs"] = None
        else:
            count = asked.get("n", 1) if self.state.many else 1
            first = 0 if asked.get("temperature") == 0 else asked.get("seed", 0)
            choices = [self.choice(i, first + i) for i in range(count)]
        return {"choices": choices, "usage": {"prompt_tokens": 3}}

    def choice(self, index: int, number: int) -> dict[str, Any]:
        text, scores = self.state.continuations[number % len(self.state.continuations)]
        logprobs = {
            "tokens": [text, *[""] * (len(scores) - 1)],
            "token_logprobs": scores,
        }
        return {
            "index": index,
            "text": text,
            "logprobs": None if self.state.faults.without_logprobs else logprobs,
            "finish_reason": "stop",
        }

    def has_tokens(self) -> bool:
        """Whether the server has calls for tokens."""
        return self.state.ids or self.state.tokens is not None

    def vocabulary(self) -> Iterator[tuple[int, str]]:
        """The tokens of the continuations, with their texts: first the text, then empty ones."""
        for number, (text, scores) in enumerate(self.state.continuations, 1):
            yield 100 * number, text
            yield from ((100 * number + i, "") for i in range(1, len(scores)))

    def likeliest(self, tokens: list[int]) -> dict[int, float]:
        """The tokens that can follow, likeliest first."""
        found = {}
        for number, (_, scores) in enumerate(self.state.continuations, 1):
            names = [100 * number + i for i in range(len(scores) - 1)] + [0]
            generated = [token for token in tokens if token >= 100]
            if generated == names[: len(generated)] and len(generated) < len(names):
                found[names[len(generated)]] = scores[len(generated)]
        return dict(sorted(found.items(), key=lambda item: -item[1]))

    def next_tokens(self, index: int, prompt: list[int], count: int) -> dict[str, Any]:
        """A choice of the likeliest tokens after a prompt of tokens."""
        if not self.state.ids:
            return self.choice(index, 0)
        generated: list[int] = []
        rows = []
        while len(generated) < count and 0 not in generated:
            rows.append(self.likeliest(prompt + generated))
            generated.append(next(iter(rows[-1])))
        named = [{f"token_id:{token}": value for token, value in row.items()} for row in rows]
        return {
            "index": index,
            "text": "",
            "logprobs": {
                "tokens": [next(iter(row)) for row in named],
                "token_logprobs": [next(iter(row.values())) for row in named],
                "top_logprobs": named,
            },
            "finish_reason": "stop" if 0 in generated else "length",
        }

    def reply(
        self, answer: object, status: int = 200, headers: dict[str, str] | None = None
    ) -> None:
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        with contextlib.suppress(ConnectionError):
            self.wfile.write(body)

    def send(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(ConnectionError):
            self.wfile.write(body[: len(body) // 2] if self.state.faults.cut else body)
