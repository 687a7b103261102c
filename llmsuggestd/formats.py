"""The prompt formats of models, as data.

A model answers well only if its prompt has, to the byte, the form that it was trained on. A
`Format` describes the prompt, and the end of an answer. This module has the known formats, and
`config.toml` can add others (`[formats.NAME]`). docs/models.md names the source of each.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Final, Literal, NamedTuple

import msgspec

from llmsuggestd.errors import UsageError

NAME: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"
"""The pattern of a format's name."""

FIELDS: Final = ("state", "prefix", "context", "name")
"""The fields of a template, in braces: the tactic state, the beginning of the tactic, the file
above it, and the theorem's name."""

TEMPLATE_KEY: Final = "llmsuggestd.prompt_template"
"""The GGUF key of the template, in the form of `template_text`."""

_MAX_STOP: Final = 100
"""Maximum number of characters of a stop string."""


class WrongFormat(UsageError):
    """A format is not valid, or no format has this name."""

    code = "wrong_format"


class Part(NamedTuple):
    """A part of a prompt: text, or one special token."""

    text: str
    special: bool = False


class Format(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A prompt format: the text around a tactic state, and the texts that end a tactic."""

    name: str = ""
    """Its name, in `config.toml` that of the table."""
    template: str
    """The prompt, with FIELDS in braces. `{prefix}` is at the end, and may be left out."""
    special: tuple[str, ...] = ()
    """The parts of the template that are special tokens. Users' text never is."""
    bos: bool | None = None
    """Whether the begin-of-text token comes first; None for the model file's value."""
    stop: tuple[str, ...] = ()
    """Texts that end a suggestion, besides the model's end tokens. They are not part of it."""
    goals: Literal["first", "all"] = "first"
    """The goals of a tactic state in the prompt: the first, on which the tactic runs, or all."""

    def uses(self, field: str) -> bool:
        """Whether the prompt depends on one of FIELDS."""
        return field == "prefix" or field in _fields(self.template)

    def parts(
        self, state: str, prefix: str = "", *, context: str = "", name: str = ""
    ) -> list[Part]:
        """The parts of the prompt. Adjacent texts are one part, since tokens can span them."""
        values = {"state": state, "prefix": prefix, "context": context, "name": name}
        parts: list[Part] = []
        for literal, field in _pieces(self.template):
            for part in self._split(literal):
                _append(parts, part)
            if field is not None:
                _append(parts, Part(values[field]))
        return parts

    def text(self, state: str, prefix: str = "", *, context: str = "", name: str = "") -> str:
        """The prompt as text, with special tokens by their names."""
        parts = self.parts(state, prefix, context=context, name=name)
        return "".join(part.text for part in parts)

    def marks(self) -> tuple[str, str]:
        """The texts directly before and after the state."""
        before, after = self.text("\0", context="\1", name="\1").split("\0")
        return before.rpartition("\1")[2], after.partition("\1")[0]

    def space_before_prefix(self) -> str:
        """The spaces at the end of the template, which a tokenizer joins to the next word."""
        text = self.marks()[1]
        return text[len(text.rstrip(" ")) :]

    def _split(self, literal: str) -> Iterator[Part]:
        if not self.special:
            yield Part(literal)
            return
        longest_first = sorted(self.special, key=len, reverse=True)
        pattern = "|".join(map(re.escape, longest_first))
        for text in re.split(f"({pattern})", literal):
            yield Part(text, special=text in self.special)


def _append(parts: list[Part], part: Part) -> None:
    if not part.text:
        return
    if parts and not part.special and not parts[-1].special:
        part = Part(parts.pop().text + part.text)
    parts.append(part)


@lru_cache(maxsize=64)
def _pieces(template: str) -> tuple[tuple[str, str | None], ...]:
    """A template as texts, each with the field after it. Raises ValueError if it is not valid."""
    pieces = list(_parsed(template))
    if pieces[-1:] and pieces[-1][1] == "prefix":
        return tuple(pieces)
    return (*pieces, ("", "prefix"))


def _fields(template: str) -> set[str]:
    return {field for _, field in _pieces(template) if field is not None}


def _parsed(template: str) -> Iterator[tuple[str, str | None]]:
    for text, field, specification, conversion in string.Formatter().parse(template):
        if specification or conversion:
            raise ValueError("a field is `{NAME}` and nothing else")
        yield text, field


LLMSTEP: Final = Format(
    name="llmstep", template="[GOAL]{state}[PROOFSTEP]{prefix}", bos=False
)  # Welleck & Saha, "LLMSTEP: LLM proofstep suggestions in Lean" (2023)

_NTP_HEADER: Final = (
    "/- You are proving a theorem in Lean 4.\n"
    "You are given the following information:\n"
    "%s"
    "- The current proof state, inside [STATE]...[/STATE]\n"
    "\n"
    "Your task is to generate the next tactic in the proof.\n"
    "Put the next tactic inside [TAC]...[/TAC]\n"
    "-/\n"
)
_NTP_STATE: Final = "[STATE]\n{state}\n[/STATE]\n[TAC]\n{prefix}"
_NTP_CONTEXT: Final = "- The file contents up to the current tactic, inside [CTX]...[/CTX]\n"

CHAT: Final = Format(
    name="chat",
    template="<|im_start|>user\nMy LEAN 4 state is:\n```lean\n{state}```\nPlease predict a possible"
    " tactic to help me prove the theorem.<|im_end|>\n<|im_start|>assistant\n{prefix}",
    special=("<|im_start|>", "<|im_end|>"),
)

FORMATS: Final[Mapping[str, Format]] = {
    known.name: known
    for known in (
        LLMSTEP,
        Format(
            name="bfs-prover",
            template="{state}:::{prefix}",
            bos=False,
            goals="all",
        ),
        Format(
            name="ntp-mathlib-st",
            template=_NTP_HEADER % "" + _NTP_STATE,
            stop=("[/TAC]",),
        ),
        Format(
            name="ntp-mathlib-context",
            template=_NTP_HEADER % _NTP_CONTEXT + "[CTX]\n{context}\n[/CTX]\n" + _NTP_STATE,
            stop=("[/TAC]",),
        ),
        # It was trained with the proof so far, which is left empty, as for a proof's first step.
        Format(
            name="internlm2.5",
            template="---\nNAME: {name}\n\n---\nPROOF_BEFORE: \n\n---\nSTATE_BEFORE: {state}\n\n"
            "---\nTACTIC: {prefix}",
        ),
        Format(
            name="internlm2",
            template="DECL {name}\nGOAL {state}\nPROOFSTEP {prefix}",
        ),
        # It was trained with theorems that a search had found. They are left empty.
        Format(
            name="real-prover",
            template="User: Please generate a tactic in lean4 to solve the state.\nHere're some"
            " theorems that may be helpful:\n\nSTATE:\n{state}\nTACTIC:\n\n\nAssistant:{prefix}",
        ),
        CHAT,
    )
}
"""The known formats by name."""


def find(name: str, own: Mapping[str, Format] | None = None) -> Format:
    """The format with this name, the user's own or a known one. Raises WrongFormat."""
    every = {**FORMATS, **(own or {})}
    if name not in every:
        raise WrongFormat(f"there is no format {name!r}", f"formats: {', '.join(every)}")
    return every[name]


def parse(name: str, table: object) -> Format:
    """Parse a user's own format from its table in `config.toml`. Raises WrongFormat."""
    if not re.match(NAME, name):
        raise WrongFormat("a format's name is letters, digits, `.`, `_` and `-`")
    if name in FORMATS:
        raise WrongFormat(f"the format {name} exists already", "choose another name")
    if not isinstance(table, dict) or "name" in table:
        raise WrongFormat(f"a format is a table with {', '.join(_SETTINGS)}")
    try:
        found = msgspec.convert(table, Format)
    except msgspec.ValidationError as error:
        raise WrongFormat(_in_words(error), f"a format has {', '.join(_SETTINGS)}") from None
    found = msgspec.structs.replace(found, name=name)
    check(found)
    return found


def check(asked: Format) -> None:
    """Raise WrongFormat, with the problem, if a format cannot be used."""
    try:
        pieces = list(_parsed(asked.template))
    except ValueError as error:
        raise WrongFormat(
            f"its template cannot be read: {error}", "write a literal brace twice"
        ) from None
    fields = [field for _, field in pieces if field is not None]
    for field in fields:
        if field not in FIELDS:
            raise WrongFormat(
                f"its template has a field {{{field}}}",
                f"the fields are {', '.join(f'{{{known}}}' for known in FIELDS)}",
            )
        if fields.count(field) > 1:
            raise WrongFormat(f"its template has {{{field}}} twice")
    if "state" not in fields:
        raise WrongFormat("its template has no {state}", "it is the place of the goals")
    if "prefix" in fields and not asked.template.endswith("{prefix}"):
        raise WrongFormat("text follows {prefix} in its template", "put {prefix} at the end")
    for mark in asked.special:
        if not mark or not any(mark in text for text, _ in pieces):
            raise WrongFormat(f"its template does not contain the special token {mark!r}")
    for text in asked.stop:
        if not text or len(text) > _MAX_STOP:
            what = "is empty" if not text else f"has more than {_MAX_STOP} characters"
            raise WrongFormat(f"one of its stop strings {what}", 'write one as "[/TAC]"')


def template_text(asked: Format) -> str:
    """A format's template in the form of GGUF files, in which the state is `{goal}`."""
    return asked.template.replace("{state}", "{goal}")


def of_template(text: str, own: Mapping[str, Format] | None = None) -> Format | None:
    """The format with the template of a GGUF file; None if it is unknown."""
    every = (*FORMATS.values(), *(own or {}).values())
    return next((known for known in every if template_text(known) == text), None)


_SETTINGS: Final = tuple(name for name in Format.__struct_fields__ if name != "name")


def _in_words(error: msgspec.ValidationError) -> str:
    """The problem with a table, without Python's names of types."""
    text = str(error)
    if found := re.search(r"unknown field `(.*?)`", text):
        return f"a format has no `{found[1]}`"
    if "missing required field `template`" in text:
        return "it has no template"
    if found := re.search(r"at `\$\.(\w+)", text):
        return f"its `{found[1]}` must be {_EXPECTED[found[1]]}"
    return text


_EXPECTED: Final = {
    "template": "text, in quotes",
    "special": "a list of texts",
    "bos": "true or false",
    "stop": "a list of texts",
    "goals": '"first" or "all"',
}
