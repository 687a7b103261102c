"""The parts of the documents that are made from the source, so that they are written once.

    python docs/generate.py

renews them in the pages, each between `<!-- generated: PART -->` and `<!-- end of PART -->`. With
the name of a part, it prints that one: a reference page's table, or the manual page (`man`).
"""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
import json
import re
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import click
import msgspec

import llmsuggestd
from llmsuggestd import environment
from llmsuggestd.cli import cli
from llmsuggestd.config import Config
from llmsuggestd.daemon.app import CALLS, STATUS_OF
from llmsuggestd.daemon.openapi import document
from llmsuggestd.errors import ExitCode, LlmsuggestdError
from llmsuggestd.version import __version__

ROOT: Final = Path(__file__).parents[1]
PACKAGE: Final = Path(llmsuggestd.__file__).parent
OPTIONS: Final = ROOT / "lean/LlmSuggest/Options.lean"

Json = dict[str, Any]


def main(parts: list[str]) -> None:
    """Renew the parts in the pages, or print the named one."""
    if not parts:
        for page in sorted((ROOT / "docs").rglob("*.md")):
            before = page.read_text(encoding="utf-8")
            if (after := renewed(before)) != before:
                page.write_text(after, encoding="utf-8")
        return
    if len(parts) != 1 or parts[0] not in PARTS:
        raise SystemExit(f"{__doc__}\nThe parts: {', '.join(PARTS)}")
    sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
    print(PARTS[parts[0]](), end="")


GENERATED: Final = re.compile(
    r"(<!-- generated: ([\w-]+) -->\n)(?:.*?)(<!-- end of \2 -->)", re.DOTALL
)
"""A generated part of a page, between its comments."""


def renewed(text: str) -> str:
    """A page with its generated parts as they are made now."""
    return GENERATED.sub(lambda part: f"{part[1]}\n{PARTS[part[2]]().strip()}\n\n{part[3]}", text)


def table(headings: tuple[str, ...], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table."""
    lines = [headings, ("---",) * len(headings), *rows]
    return "".join(f"| {' | '.join(_cell(cell) for cell in line)} |\n" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _prose(docstring: str | None) -> str:
    """A docstring's first paragraph as a phrase for a table: no line breaks, capital, full stop."""
    text = " ".join(inspect.cleandoc(docstring or "").partition("\n\n")[0].split())
    return text[:1].lower() + text[1:].removesuffix(".") if text else ""


def attribute_docs(cls: type) -> dict[str, str]:
    """The docstrings below a class's attributes."""
    body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]
    assert isinstance(body, ast.ClassDef)
    docs = {}
    for node, below in zip(body.body, body.body[1:], strict=False):
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        if (
            isinstance(target, ast.Name)
            and isinstance(below, ast.Expr)
            and isinstance(below.value, ast.Constant)
        ):
            docs[target.id] = inspect.cleandoc(str(below.value.value))
    return docs


# --- the command line ----------------------------------------------------------------------------


def leaves(context: click.Context | None = None) -> Iterator[click.Context]:
    """The context of every command that is no group, in the order of `--help`."""
    context = context or click.Context(cli, info_name="llmsuggestd")
    if not isinstance(context.command, click.Group):
        yield context
        return
    for name in context.command.list_commands(context):
        command = context.command.get_command(context, name)
        assert command is not None
        yield from leaves(click.Context(command, info_name=name, parent=context))


def usage(context: click.Context) -> str:
    """One line: how the command is called."""
    return " ".join([context.command_path, *context.command.collect_usage_pieces(context)])


def paragraphs(context: click.Context) -> list[str]:
    """The paragraphs of a command's help."""
    text = inspect.cleandoc(context.command.help or "")
    return [" ".join(paragraph.split()) for paragraph in text.split("\n\n")]


def options(context: click.Context) -> list[tuple[str, str]]:
    """A command's options with their metavariables, and what `--help` says of each."""
    params = context.command.get_params(context)
    named = (param for param in params if isinstance(param, click.Option))
    records = filter(None, (param.get_help_record(context) for param in named))
    return [(name, " ".join(text.split())) for name, text in records if "--help" not in name]


def commands() -> str:
    """A section per command."""
    sections = []
    for context in leaves():
        name = context.command_path.removeprefix("llmsuggestd ")
        parts = [f"### {name}", f"```text\n{usage(context)}\n```", *paragraphs(context)]
        if records := options(context):
            rows = ((f"`{option}`", text.replace("[", "\\[")) for option, text in records)
            parts.append(table(("option", ""), rows).rstrip())
        sections.append("\n\n".join(parts))
    return "\n\n".join(sections) + "\n"


# --- settings, variables, exit codes -------------------------------------------------------------


def settings() -> str:
    """Every setting of `config.toml`, with its variable and default."""
    docs = attribute_docs(Config)
    rows = (
        (f"`{name}`", variable and f"`{variable}`", f"`{default}`", _prose(docs[name]))
        for name, variable, default in _settings()
    )
    return table(("key", "variable", "default", ""), rows)


def _settings() -> Iterator[tuple[str, str, str]]:
    """Each setting's name, its variable (a table has none), and its default as JSON."""
    defaults = Config()
    for name in Config.__struct_fields__:
        default = msgspec.to_builtins(getattr(defaults, name))
        variable = "" if isinstance(default, dict) else f"LLMSUGGESTD_{name.upper()}"
        yield name, variable, json.dumps(default)


def variables() -> str:
    """Which processes get which environment variables."""
    return table(
        ("variables", "reach", ""),
        (
            (
                " ".join(f"`{name}`" for name in row.names.split()),
                ", ".join(str(flag.name).lower() for flag in row.reach) or "none",
                row.note,
            )
            for row in environment.TABLE
        ),
    )


def exit_codes() -> str:
    """Every exit code, with its name."""
    docs = attribute_docs(ExitCode)
    rows = ((str(code.value), code.name, _prose(docs[code.name])) for code in ExitCode)
    return table(("code", "name", "when"), rows)


# --- errors --------------------------------------------------------------------------------------


@functools.cache
def error_classes() -> tuple[type[LlmsuggestdError], ...]:
    """Every class of errors that says a code of its own, in the order of the codes."""
    for source in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(source.relative_to(PACKAGE.parent).with_suffix("").parts)
        if source.stem != "__main__" and "LlmsuggestdError" in source.read_text(encoding="utf-8"):
            importlib.import_module(name.removesuffix(".__init__"))
    found: list[type[LlmsuggestdError]] = [LlmsuggestdError]
    for cls in found:
        found += [sub for sub in cls.__subclasses__() if sub not in found]
    named = [cls for cls in found if "code" in vars(cls) and cls.__module__.startswith("llmsugg")]
    return tuple(sorted(named, key=lambda cls: (cls.code, cls.__name__)))


def http_status(cls: type[LlmsuggestdError]) -> int | None:
    """The HTTP status of an error; None if the daemon does not answer with it."""
    return next((STATUS_OF[base] for base in cls.__mro__ if base in STATUS_OF), None)


def errors() -> str:
    """Every error code, with the HTTP status and exit code that go with it."""

    def row(cls: type[LlmsuggestdError]) -> tuple[str, ...]:
        status = str(http_status(cls) or "")
        return f"`{cls.code}`", status, str(cls.exit_code.value), _prose(cls.__doc__)

    return table(("code", "HTTP status", "exit code", "when"), map(row, error_classes()))


# --- the HTTP API --------------------------------------------------------------------------------


def http_api() -> str:
    """A section per call, and one per type that several fields have."""
    api = document(CALLS)
    schemas: Json = api["components"]["schemas"]
    sections, named = [], []
    for path, methods in api["paths"].items():
        for method, operation in methods.items():
            parts = [f"### {method.upper()} {path}", operation["summary"]]
            if "requestBody" in operation:
                parts += _fields("Request", operation["requestBody"]["content"], schemas)
            for status, response in operation["responses"].items():
                if int(status) < 400:
                    parts += _fields(f"Answer {status}", response["content"], schemas)
            wrong = [status for status in operation["responses"] if int(status) >= 400]
            parts.append(f"Errors: {', '.join(wrong)}.")
            sections.append("\n\n".join(parts))
            named += _references(operation)
    for name in dict.fromkeys(named):
        for below in _references(schemas[name]):
            if below not in named:
                named.append(below)
    shown = {name for text in sections for name in re.findall(r"`(\w+)`:\n", text)}
    for name in sorted(set(named) - shown - {"ErrorAnswer"}):
        sections.append(f"### {name}\n\n{_struct(schemas[name])}".rstrip())
    return "\n\n".join(sections) + "\n"


def _fields(label: str, content: Json, schemas: Json) -> list[str]:
    """What the body of a request or of an answer is, by media type."""
    parts = []
    for media, each in content.items():
        where = label if media == "application/json" else f"{label} as `{media}`"
        line = each.get("x-each-line")
        names = _references(each["schema"])
        if line:
            parts.append(f"{where}: on each line a {kind(line[0])}.")
        elif not names:
            parts.append(f"{where}.")
        for number, name in enumerate(names):
            parts.append(f"Or `{name}`:" if number else f"{where}, `{name}`:")
            parts.append(_struct(schemas[name]).rstrip())
    return parts


def _struct(schema: Json) -> str:
    """A table of an object's fields."""
    required = schema.get("required", ())
    one_of = [name for choice in schema.get("oneOf", ()) for name in choice["required"]]
    rows = []
    for name, field in schema.get("properties", {}).items():
        value = field.get("default", {} if "$ref" in field else None)
        default = "required" if name in required else f"`{json.dumps(value)}`"
        if name in one_of:
            default = "required, or " + " or ".join(
                f"`{other}`" for other in one_of if other != name
            )
        rows.append((f"`{name}`", kind(field), default, field.get("description", "")))
    answered = all(default == "required" for *_, default, _ in rows)
    if answered:  # an answer has every field
        return table(("field", "type", ""), ((name, type_, text) for name, type_, _, text in rows))
    return table(("field", "type", "default", ""), rows)


def kind(schema: Json) -> str:
    """A JSON Schema in words."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"`{name}`"
    if "anyOf" in schema:
        return " or ".join(kind(one) for one in schema["anyOf"])
    if "enum" in schema:
        return " or ".join(f"`{json.dumps(value)}`" for value in schema["enum"])
    words = str(schema.get("type", "any"))
    if words == "array":
        low, high = schema.get("minItems", 0), schema.get("maxItems")
        bounds = f" ({low} to {high})" if high is not None else " (not empty)" if low else ""
        return f"list{bounds} of {kind(schema['items'])}" if schema.get("items") else "list"
    if words == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"object of {kind(schema['additionalProperties'])}s"
    if schema.get("minLength") == 1:
        words += ", not empty"
    if "maxLength" in schema:
        words += f", at most {schema['maxLength']:,} characters"
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    high = schema.get("maximum", schema.get("exclusiveMaximum"))
    if low is not None and high is not None:
        above = "above " if "exclusiveMinimum" in schema else ""
        words += f", {above}{low} to {high}"
    return words


def _references(schema: object) -> list[str]:
    """The names of the types that a schema mentions."""
    return re.findall(r"#/components/schemas/(\w+)", json.dumps(schema))


# --- Lean ----------------------------------------------------------------------------------------


def lean_options() -> str:
    """Every option of the tactic, with its type and default."""
    found = re.findall(
        r"/--(.*?)-/\s*register_option (\S+) : (\w+) := \{\s*defValue := (\"[^\"]*\"|\S+)",
        OPTIONS.read_text(encoding="utf-8"),
        re.DOTALL,
    )
    return table(
        ("option", "type", "default", ""),
        ((f"`{name}`", type_, f"`{value}`", text) for text, name, type_, value in found),
    )


# --- the manual page -----------------------------------------------------------------------------


def man() -> str:
    """`llmsuggestd.1`, with every command."""
    lines = [
        f'.TH LLMSUGGESTD 1 "" "llmsuggestd {__version__}" "User Commands"',
        ".SH NAME",
        "llmsuggestd \\- next-tactic suggestions for Lean 4 from a local language model",
        ".SH SYNOPSIS",
        r"\fBllmsuggestd\fR \fICOMMAND\fR [\fIOPTIONS\fR]",
        ".SH DESCRIPTION",
        *(line for text in paragraphs(click.Context(cli)) for line in (".PP", _roff(text))),
        ".SH COMMANDS",
    ]
    for context in leaves():
        lines += [f".SS {_roff(usage(context))}"]
        lines += [line for text in paragraphs(context) for line in (".PP", _roff(text))]
        for option, text in options(context):
            lines += [".TP", rf"\fB{_roff(option)}\fR", _roff(text)]
    lines += [".SH EXIT STATUS"]
    docs = attribute_docs(ExitCode)
    for code in ExitCode:
        lines += [".TP", rf"\fB{code.value}\fR", _roff(" ".join(docs[code.name].split()))]
    lines += [".SH ENVIRONMENT"]
    for name, text in ENVIRONMENT.items():
        lines += [".TP", rf"\fB{name}\fR", _roff(text)]
    docs = attribute_docs(Config)
    for name, variable, _ in _settings():
        if variable:
            lines += [".TP", rf"\fB{variable}\fR"]
            lines += [_roff(f"The setting `{name}` of config.toml: {_prose(docs[name])}.")]
    lines += [".SH FILES", ".TP", r"\fIconfig.toml\fR", _roff(FILES), ".SH SEE ALSO"]
    lines += [r"\fBcurl\fR(1), \fBsystemctl\fR(1)"]
    return "\n".join(lines) + "\n"


ENVIRONMENT: Final = {
    "LLMSUGGESTD_HOME": "One folder as the root of everything: config, data, cache, state and"
    " runtime below it.",
}
FILES: Final = (
    "The settings, in ~/.config/llmsuggestd on Linux and in ~/Library/Application"
    " Support/llmsuggestd on macOS. `llmsuggestd doctor` shows the file."
)


def _roff(text: str) -> str:
    """Text for a manual page: escaped, with what stands in backquotes in bold."""
    escaped = " ".join(text.split()).replace("\\", r"\e").replace("-", r"\-")
    if escaped[:1] in (".", "'"):
        escaped = rf"\&{escaped}"
    return re.sub(r"`([^`]*)`", r"\\fB\1\\fR", escaped)


PARTS: Final[dict[str, Callable[[], str]]] = {
    "commands": commands,
    "settings": settings,
    "variables": variables,
    "exit-codes": exit_codes,
    "errors": errors,
    "http-api": http_api,
    "lean-options": lean_options,
    "man": man,
}

if __name__ == "__main__":
    main(sys.argv[1:])
