"""What the HTTP API takes and returns (docs/reference/http-api.md)."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from llmsuggestd.engine.protocol import Suggestion

MAX_BODY = 2**20
"""Bytes of a request's body."""


class SuggestRequest(Struct, forbid_unknown_fields=True, frozen=True):
    """The body of `POST /v1/suggest`."""

    goal: Annotated[str, Meta(max_length=100_000)]
    """The goal as Lean prints it: hypotheses, one a line, then `⊢ target`."""
    prefix: Annotated[str, Meta(max_length=4_000)] = ""
    """How the tactic must begin."""
    n: Annotated[int, Meta(ge=1, le=32)] = 5
    """How many suggestions; also the width of the beam."""
    max_tokens: Annotated[int, Meta(ge=1, le=512)] = 64
    """Tokens a suggestion may add to the prefix."""
    mode: Literal["beam", "sample"] = "beam"
    temperature: Annotated[float, Meta(gt=0, le=10)] = 0.5
    """Of mode `sample`."""
    seed: Annotated[int, Meta(ge=0, le=2**63 - 1)] | None = None
    """Of mode `sample`: the same seed gives the same suggestions."""
    client: Annotated[str, Meta(max_length=200)] | None = None
    """Who asks: a newer request of the same client supersedes the older."""
    stream: Literal[False] = False

    def __post_init__(self) -> None:
        if not self.goal.strip():
            raise ValueError("`goal` is empty")
        for name in ("goal", "prefix"):
            if "\0" in getattr(self, name):
                raise ValueError(f"`{name}` contains a NUL character")


class Timings(Struct):
    """Where the time went, in milliseconds."""

    queue_ms: float = 0.0
    load_ms: float = 0.0
    prompt_ms: float = 0.0
    decode_ms: float = 0.0
    total_ms: float = 0.0


class SuggestAnswer(Struct):
    """What `POST /v1/suggest` returns, best suggestion first."""

    suggestions: list[Suggestion]
    model: str
    cached: bool
    truncated: bool
    """Whether the goal was longer than the context, so that hypotheses were left out."""
    timings: Timings


class ModelStatus(Struct):
    """The model that is served."""

    id: str
    description: str | None = None
    parameters: int | None = None
    bytes: int | None = None
    context: int | None = None


State = Literal["stopped", "loading", "ready", "busy", "failed"]


class Status(Struct):
    """What `GET /v1/status` returns."""

    state: State
    reason: str | None
    """Why the state is `failed`."""
    hint: str | None
    model: ModelStatus
    device: str | None
    threads: int | None
    extra_buffers: bool
    """False where llama.cpp's extra buffer types crash on this machine and are left out."""
    queue: int
    """Requests waiting or being answered."""
    engine_pid: int | None
    pid: int
    version: str
    llama_cpp: str
    uptime_s: float
    socket: str | None
    url: str
