"""Chooses a model's format: the user's choice, that of its repository, or that of its file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from llmsuggestd import formats
from llmsuggestd.errors import InputError
from llmsuggestd.formats import LLMSTEP, Format
from llmsuggestd.models import gguf

if TYPE_CHECKING:  # importing it takes half a second
    from llmsuggestd.convert.model import Model

OF_REPOSITORIES: Final = {
    "wellecks/llmstep-mathlib4-pythia2.8b": "llmstep",
    "bytedance-seed/bfs-prover-v1-7b": "bfs-prover",
    "bytedance-seed/bfs-prover-v2-7b": "bfs-prover",
    "bytedance-seed/bfs-prover-v2-32b": "bfs-prover",
    "quantfactory/bfs-prover-gguf": "bfs-prover",
    "l3lab/ntp-mathlib-st-deepseek-coder-1.3b": "ntp-mathlib-st",
    "l3lab/ntp-mathlib-context-deepseek-coder-1.3b": "ntp-mathlib-context",
    "internlm/internlm2_5-step-prover": "internlm2.5",
    "tensorblock/internlm2_5-step-prover-gguf": "internlm2.5",
}
"""Repositories of the hub, in lower case, whose models have a known format."""

_HUB: Final = "https://huggingface.co/"


class NoFormat(InputError):
    """The format of a model is unknown."""

    def __init__(self, where: str, template: str | None, own: Mapping[str, Format]) -> None:
        if template is None:
            message = f"{where} does not name its prompt format"
        else:
            message = f"{where} has the prompt template {template!r}, which is not a known format"
        names = ", ".join({**formats.FORMATS, **own})
        super().__init__(message, f"name the format that it was trained on with --format: {names}")


def choose(
    header: gguf.Header,
    where: str,
    own: Mapping[str, Format],
    *,
    wanted: Format | None = None,
    repo: str = "",
) -> tuple[Format, list[str]]:
    """Return the format for a file, and warnings.

    The order of preference is: `wanted`, the repository's format, the file's. Raises NoFormat.
    """
    template = header.text(formats.TEMPLATE_KEY)
    source = header.text("general.source.repo_url") or ""
    found = wanted or of_repository(repo)
    if found is None and template is not None:
        found = formats.of_template(template, own)
    elif found is None:
        found = of_repository(source.removeprefix(_HUB))
    if found is not None:
        return found, []
    if template is not None or header.text("general.architecture") != gguf.GPT_NEOX:
        raise NoFormat(where, template, own)
    # all known models for Lean of this architecture have llmstep's format
    return LLMSTEP, [
        f"{where} does not name its prompt format; if it was not trained on"
        f" {LLMSTEP.template}, its suggestions will be useless"
    ]


def of_checkpoint(
    model: Model, where: str, own: Mapping[str, Format], *, wanted: Format | None = None
) -> Format:
    """The format for a checkpoint from the repository `where`. Raises NoFormat."""
    found = wanted or of_repository(where) or model.prompt_format
    if found is None:
        raise NoFormat(where, None, own)
    return found


def of_repository(repo: str) -> Format | None:
    """The format of a repository's model, if it is known."""
    name = OF_REPOSITORIES.get(repo.lower())
    return None if name is None else formats.FORMATS[name]
