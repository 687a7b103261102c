"""Requests and answers of the HTTP API. Validation and `/openapi.json` come from these types.

Limits and descriptions are part of the types (`Meta`). The types of other projects' clients are in
`compat.py`.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Final, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from llmsuggestd.config import MODEL_ID
from llmsuggestd.engine.protocol import Kernels, Suggestion
from llmsuggestd.limits import MAX_CANDIDATES, MAX_GOALS, MAX_TOKENS

MAX_BODY: Final = 2**20
"""Limit of a request's body, in bytes."""

# The patterns mean the same in Python's `re` and in JSON Schema (`\s` would not), and are matched
# in linear time.
_GOAL: Final = r"^[ \t\n\v\f\r]*[^ \t\n\v\f\r\x00][^\x00]*$"
_PREFIX: Final = r"^[^\x00]*$"

PATTERNS: Final = {
    _GOAL: "text, more than white space and without NUL characters",
    _PREFIX: "text without NUL characters",
    MODEL_ID: "a name of letters, digits, `.`, `_` and `-`",
}
"""Each pattern in words, for error messages."""

MAX_CONTEXT: Final = 200_000
"""Limit of the file above a tactic, in characters."""

Goal = Annotated[
    str,
    Meta(
        max_length=100_000,
        pattern=_GOAL,
        description="The goal as Lean prints it: one hypothesis per line, then `⊢ target`."
        " If there are several goals, all but the first are ignored, unless the model's format"
        " shows them.",
        examples=["p q : Prop\nh : p ∧ q\n⊢ q ∧ p"],
    ),
]
Prefix = Annotated[
    str, Meta(max_length=4_000, pattern=_PREFIX, description="The beginning of the tactic.")
]
Context = Annotated[
    str,
    Meta(
        max_length=MAX_CONTEXT,
        pattern=_PREFIX,
        description="The file above the tactic, for models whose format shows it.",
    ),
]
TheoremName = Annotated[
    str,
    Meta(
        max_length=1_000,
        pattern=_PREFIX,
        description="The theorem's name, for models whose format shows it.",
    ),
]
ModelId = Annotated[
    str, Meta(pattern=MODEL_ID, description="The id of an installed model, without a path.")
]


class SuggestRequest(Struct, forbid_unknown_fields=True, frozen=True):
    """The body of `POST /v1/suggest`: either `goal` or `goals`."""

    also: ClassVar[dict[str, Any]] = {
        "oneOf": [{"required": ["goal"]}, {"required": ["goals"]}],
    }
    """The part of this type's JSON Schema that msgspec cannot express."""

    goal: Goal | UnsetType = UNSET
    goals: (
        Annotated[
            list[Goal],
            Meta(
                min_length=1,
                max_length=MAX_GOALS,
                description="Several goals, which are answered together. Each gets the same answer"
                " as alone.",
            ),
        ]
        | UnsetType
    ) = UNSET
    prefix: Prefix = ""
    n: Annotated[
        int,
        Meta(
            ge=1,
            le=MAX_CANDIDATES,
            description="The number of suggestions per goal, and the width of the beam.",
        ),
    ] = 5
    max_tokens: Annotated[
        int,
        Meta(ge=1, le=MAX_TOKENS, description="Limit of the tokens after the prefix."),
    ] = 64
    mode: Literal["beam", "sample"] = "beam"
    temperature: Annotated[
        float, Meta(gt=0, le=10, description="The temperature in mode `sample`.")
    ] = 0.5
    seed: Annotated[
        Annotated[int, Meta(ge=0, le=2**63 - 1)] | None,
        Meta(description="In mode `sample`, the same seed gives the same suggestions."),
    ] = None
    client: Annotated[
        Annotated[str, Meta(max_length=200)] | None,
        Meta(description="An id. A request supersedes an earlier one with the same id."),
    ] = None
    context: Context = ""
    name: TheoremName = ""

    def __post_init__(self) -> None:
        if (self.goal is UNSET) == (self.goals is UNSET):
            raise ValueError("Object needs either `goal` or `goals`")


class Timings(Struct):
    """The time of each phase in milliseconds, and the number of the prompt's tokens."""

    queue_ms: float = 0.0
    load_ms: float = 0.0
    prompt_ms: float = 0.0
    decode_ms: float = 0.0
    total_ms: float = 0.0
    prompt_tokens: int = 0
    reused_tokens: Annotated[
        int,
        Meta(description="The number of these tokens that were in the cache."),
    ] = 0


Truncated = Annotated[
    bool,
    Meta(
        description="Whether the goal was longer than the context, and has lost hypotheses or the"
        " goals after the first."
    ),
]


AnsweredBy = Annotated[
    str, Meta(description="The id of the model that answered. It may be a remote model's fallback.")
]
SentTo = Annotated[
    str | None,
    Meta(
        description="The server to which the goals were sent, as a URL without a path; null if they"
        " did not leave the daemon."
    ),
]


class SuggestAnswer(Struct):
    """The answer of `POST /v1/suggest` to `goal`, best suggestion first."""

    suggestions: list[Suggestion]
    model: AnsweredBy
    remote: SentTo
    cached: bool
    truncated: Truncated
    timings: Timings


class GoalResult(Struct):
    """The answer for one of several goals, best suggestion first."""

    suggestions: list[Suggestion]
    cached: bool
    truncated: Truncated


class SuggestResults(Struct):
    """The answer of `POST /v1/suggest` to `goals`."""

    results: Annotated[list[GoalResult], Meta(description="One per goal, in the request's order.")]
    model: AnsweredBy
    remote: SentTo
    timings: Annotated[
        Timings, Meta(description="The times of the goals that were not cached, taken together.")
    ]


class ModelStatus(Struct):
    """The model that is served."""

    id: str
    description: Annotated[
        str | None, Meta(description="llama.cpp's description; null until the model is loaded.")
    ] = None
    format: Annotated[str | None, Meta(description="The name of its prompt's format.")] = None
    parameters: int | None = None
    bytes: int | None = None
    context: int | None = None


class RemoteStatus(Struct):
    """The state of a remote model."""

    url: Annotated[
        str, Meta(description="The server to which goals are sent, as a URL without a path.")
    ]
    leaves: Annotated[
        bool,
        Meta(description="Whether the server is another machine. Tunnels are not recognised."),
    ]
    fallback: Annotated[
        str | None,
        Meta(description="The local model that answers now, since the server does not."),
    ]
    reason: Annotated[
        str | None, Meta(description="The reason why the server does not answer; null if it does.")
    ]


State = Literal["idle", "loading", "ready", "busy", "failed"]


class Status(Struct):
    """The answer of `GET /v1/status`, and each line of `GET /v1/events`."""

    state: Annotated[
        State, Meta(description="`idle`: no model is in memory; the next request loads it.")
    ]
    reason: Annotated[str | None, Meta(description="The reason of the state `failed`.")]
    hint: Annotated[str | None, Meta(description="A remedy for it.")]
    model: ModelStatus
    remote: Annotated[
        RemoteStatus | None, Meta(description="The server of a remote model; null for a local one.")
    ]
    switching_to: Annotated[
        str | None, Meta(description="The model that is being loaded to replace the present one.")
    ]
    device: str | None
    threads: int | None
    kernels: Annotated[
        Kernels | Literal["gpu"] | None,
        Meta(
            description="The code that multiplies by quantised weights: our `own` kernels,"
            " llama.cpp's with `repacked` weights or with `plain` ones, or the `gpu`'s."
        ),
    ]
    instructions: Annotated[
        str | None,
        Meta(
            description="The instruction set that our own kernels use (`avx2`, `avx-vnni`,"
            " `avx512-vnni`); null with others."
        ),
    ]
    crashed_kernels: Annotated[
        list[Kernels],
        Meta(description="Kernels that crash on this machine and are therefore not used."),
    ]
    environment: Annotated[
        dict[str, str],
        Meta(description="The daemon's variables that choose devices or libraries."),
    ]
    queue: Annotated[
        int,
        Meta(description="Questions that wait or are being answered. Equal ones count once."),
    ]
    engine_pid: int | None
    pid: int
    version: str
    llama_cpp: str
    uptime_s: float
    socket: str | None
    url: str
    listeners: Annotated[
        dict[str, str], Meta(description="The URL of each compatibility listener, by name.")
    ]


class InstalledModel(Struct):
    """One model in `GET /v1/models`."""

    id: str
    bytes: int
    current: Annotated[bool, Meta(description="Whether this model is served now.")]
    state: Literal["available", "loading", "loaded", "failed"]
    quantisation: Annotated[
        str | None, Meta(description="llama.cpp's name for it, such as `Q4_K_M`.")
    ]
    source: Annotated[str | None, Meta(description="The repository and commit, or the file.")]
    licence: str | None
    format: Annotated[
        str | None, Meta(description="The name of its prompt's format; null if it is unknown.")
    ]
    remote: Annotated[
        str | None, Meta(description="The server of a remote model; null for a local one.")
    ] = None


class ModelList(Struct):
    """The answer of `GET /v1/models`."""

    models: list[InstalledModel]


class SwitchRequest(Struct, forbid_unknown_fields=True, frozen=True):
    """The body of `PUT /v1/model`."""

    id: ModelId


class Health(Struct):
    """The answer of `GET /health`: the daemon is running."""

    status: Literal["ok"]


class Readiness(Struct):
    """The answer of `GET /ready`, with status 200 if requests are answered, otherwise 503."""

    state: State


class Stopping(Struct):
    """The answer of `POST /v1/shutdown`."""

    status: Literal["stopping"]


class ErrorBody(Struct):
    """One error."""

    code: Annotated[str, Meta(description="A word for programs to compare.")]
    message: Annotated[str, Meta(description="The cause, in one line.")]
    hint: Annotated[str, Meta(description="A remedy, in one line; may be empty.")]


class ErrorAnswer(Struct):
    """The answer of every call with a status of 400 or more."""

    error: ErrorBody
