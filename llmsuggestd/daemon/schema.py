"""Requests and answers of the HTTP API. Validation and `/openapi.json` come from these types.

Limits and descriptions are part of the types (`Meta`). The types of other projects' clients are in
`compat.py`.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Final, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from llmsuggestd.config import MODEL_ID
from llmsuggestd.engine.protocol import MAX_CANDIDATES, MAX_GOALS, Kernels, Suggestion

MAX_BODY: Final = 2**20
"""Bytes of a request's body."""

MAX_COUNT: Final = MAX_CANDIDATES
"""Suggestions for one goal."""

MAX_TOKENS: Final = 512
"""Tokens that a suggestion may add to the prefix."""

# The patterns mean the same in Python's `re` and in JSON Schema (`\s` would not), and take linear
# time.
_GOAL: Final = r"^[ \t\n\v\f\r]*[^ \t\n\v\f\r\x00][^\x00]*$"
_PREFIX: Final = r"^[^\x00]*$"

PATTERNS: Final = {
    _GOAL: "text, more than white space and without NUL characters",
    _PREFIX: "text without NUL characters",
    MODEL_ID: "a name of letters, digits, `.`, `_` and `-`",
}
"""What each pattern means, for error messages."""

MAX_CONTEXT: Final = 200_000
"""Characters of the file above a tactic."""

Goal = Annotated[
    str,
    Meta(
        max_length=100_000,
        pattern=_GOAL,
        description="The goal as Lean prints it: one hypothesis per line, then `⊢ target`."
        " Of several goals, the first counts, unless the model's format shows all of them.",
        examples=["p q : Prop\nh : p ∧ q\n⊢ q ∧ p"],
    ),
]
Prefix = Annotated[
    str, Meta(max_length=4_000, pattern=_PREFIX, description="How the tactic must begin.")
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
    """What msgspec cannot say of this type in JSON Schema."""

    goal: Goal | UnsetType = UNSET
    goals: (
        Annotated[
            list[Goal],
            Meta(
                min_length=1,
                max_length=MAX_GOALS,
                description="Goals that are answered together, each as if it were alone.",
            ),
        ]
        | UnsetType
    ) = UNSET
    prefix: Prefix = ""
    n: Annotated[
        int,
        Meta(
            ge=1,
            le=MAX_COUNT,
            description="How many suggestions for each goal; also the width of the beam.",
        ),
    ] = 5
    max_tokens: Annotated[
        int,
        Meta(ge=1, le=MAX_TOKENS, description="Tokens that a suggestion may add to the prefix."),
    ] = 64
    mode: Literal["beam", "sample"] = "beam"
    temperature: Annotated[float, Meta(gt=0, le=10, description="Of mode `sample`.")] = 0.5
    seed: Annotated[
        Annotated[int, Meta(ge=0, le=2**63 - 1)] | None,
        Meta(description="Of mode `sample`: the same seed gives the same suggestions."),
    ] = None
    client: Annotated[
        Annotated[str, Meta(max_length=200)] | None,
        Meta(description="An id. A newer request with the same id supersedes the older."),
    ] = None
    context: Context = ""
    name: TheoremName = ""

    def __post_init__(self) -> None:
        if (self.goal is UNSET) == (self.goals is UNSET):
            raise ValueError("Object needs either `goal` or `goals`")


class Timings(Struct):
    """Time per phase in milliseconds, and the number of the prompt's tokens."""

    queue_ms: float = 0.0
    load_ms: float = 0.0
    prompt_ms: float = 0.0
    decode_ms: float = 0.0
    total_ms: float = 0.0
    prompt_tokens: int = 0
    reused_tokens: Annotated[
        int,
        Meta(description="The tokens of the prompt that were still in memory from an earlier one."),
    ] = 0


Truncated = Annotated[
    bool,
    Meta(
        description="The goal was longer than the context and has lost hypotheses, or goals behind"
        " the first."
    ),
]


AnsweredBy = Annotated[
    str, Meta(description="The id of the model that answered. It may be a remote one's fallback.")
]
SentTo = Annotated[
    str | None,
    Meta(
        description="The server to which the goals were sent, as its URL without a path; null if"
        " they stayed with the daemon."
    ),
]


class SuggestAnswer(Struct):
    """What `POST /v1/suggest` returns for `goal`, best suggestion first."""

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
    """What `POST /v1/suggest` returns for `goals`."""

    results: Annotated[list[GoalResult], Meta(description="One for each goal, in their order.")]
    model: AnsweredBy
    remote: SentTo
    timings: Annotated[
        Timings, Meta(description="Of all goals that had to be computed, decoded together.")
    ]


class ModelStatus(Struct):
    """The model that is served."""

    id: str
    description: Annotated[
        str | None, Meta(description="llama.cpp's words for it; null until it is loaded.")
    ] = None
    format: Annotated[str | None, Meta(description="The name of its prompt's format.")] = None
    parameters: int | None = None
    bytes: int | None = None
    context: int | None = None


class RemoteStatus(Struct):
    """A model whose engine is a server elsewhere."""

    url: Annotated[str, Meta(description="The server to which goals are sent, without a path.")]
    leaves: Annotated[
        bool,
        Meta(description="Whether it is another machine. A tunnel from this one is not seen."),
    ]
    fallback: Annotated[
        str | None,
        Meta(description="The local model that answers now, because the server does not."),
    ]
    reason: Annotated[str | None, Meta(description="Why the server does not answer.")]


State = Literal["idle", "loading", "ready", "busy", "failed"]


class Status(Struct):
    """What `GET /v1/status` returns, and each line of `GET /v1/events`."""

    state: Annotated[
        State, Meta(description="`idle`: no model is in memory; the next request loads it.")
    ]
    reason: Annotated[str | None, Meta(description="Why the state is `failed`.")]
    hint: Annotated[str | None, Meta(description="How to mend that.")]
    model: ModelStatus
    remote: Annotated[
        RemoteStatus | None, Meta(description="Where goals are sent; null if they stay here.")
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
        list[Kernels], Meta(description="Kernels that crash on this machine, and are not used.")
    ]
    environment: Annotated[
        dict[str, str],
        Meta(description="Variables that choose devices or libraries, as the daemon has them."),
    ]
    queue: Annotated[
        int,
        Meta(description="Questions waiting or being answered; the same question counts once."),
    ]
    engine_pid: int | None
    pid: int
    version: str
    llama_cpp: str
    uptime_s: float
    socket: str | None
    url: str
    listeners: Annotated[
        dict[str, str], Meta(description="Compatibility listeners by name, each with its URL.")
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
        str | None, Meta(description="Its server, to which goals are sent; null for a local one.")
    ] = None


class ModelList(Struct):
    """What `GET /v1/models` returns."""

    models: list[InstalledModel]


class SwitchRequest(Struct, forbid_unknown_fields=True, frozen=True):
    """The body of `PUT /v1/model`."""

    id: ModelId


class Health(Struct):
    """What `GET /health` returns: the daemon lives."""

    status: Literal["ok"]


class Readiness(Struct):
    """What `GET /ready` returns: 200 when a request would be answered, 503 otherwise."""

    state: State


class Stopping(Struct):
    """What `POST /v1/shutdown` returns."""

    status: Literal["stopping"]


class ErrorBody(Struct):
    """One error."""

    code: Annotated[str, Meta(description="A word that programs can test.")]
    message: Annotated[str, Meta(description="One line that says what happened.")]
    hint: Annotated[str, Meta(description="What to do next; may be empty.")]


class ErrorAnswer(Struct):
    """What every call returns with a status of 400 or more."""

    error: ErrorBody
