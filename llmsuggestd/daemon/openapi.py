"""The OpenAPI document, generated from the declared calls and the types of their bodies."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, Final

import msgspec
from msgspec import Struct

from llmsuggestd.daemon.access import OPEN_PATHS
from llmsuggestd.daemon.calls import JSON, Call
from llmsuggestd.daemon.schema import ErrorAnswer
from llmsuggestd.version import __version__

OF_EVERY_CALL: Final = (400, 403, 503)
"""400: not HTTP. 403: a web page, a wrong Host, or another user's process. 503: too many
connections, or stopping."""

OF_EVERY_BODY: Final = (408, 413, 415)


def document(calls: Iterable[Call]) -> dict[str, Any]:
    """The OpenAPI 3.1 document of these calls."""
    calls = list(calls)
    types: list[type[Struct]] = [ErrorAnswer]
    for call in calls:
        types += [t for t in (call.body, *call.answers, *call.statuses.values()) if t is not None]
        types += [t for t in call.media.values() if t is not None]
    (_, components) = msgspec.json.schema_components(
        list(dict.fromkeys(types)), ref_template="#/components/schemas/{name}"
    )
    for type_ in types:
        components[type_.__name__] |= getattr(type_, "also", {})
    paths: dict[str, dict[str, Any]] = {}
    for call in calls:
        paths.setdefault(call.path, {})[call.method.lower()] = _operation(call)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "llmsuggestd",
            "version": __version__,
            "description": "Next-tactic suggestions for Lean 4 from a local model.",
        },
        "paths": paths,
        "security": [{"token": []}],
        "components": {
            "schemas": components,
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "Required on the port, not on the Unix socket.",
                }
            },
        },
    }


def _operation(call: Call) -> dict[str, Any]:
    content: dict[str, Any] = {}
    if call.answers:
        references = [_reference(answer) for answer in call.answers]
        content[JSON] = {"schema": references[0] if len(references) == 1 else {"oneOf": references}}
    for name, line in call.media.items():
        kind = "object" if name == JSON else "string"
        # the schema of each line of a stream
        each = {} if line is None else {"x-each-line": [_reference(line)]}
        content[name] = {"schema": {"type": kind}} | each
    responses: dict[str, Any] = {"200": {"description": "Done.", "content": content}}
    for status, type_ in call.statuses.items():
        responses[str(status)] = {
            "description": "Not now.",
            "content": {JSON: {"schema": _reference(type_)}},
        }
    errors = {*OF_EVERY_CALL, *call.errors, *(OF_EVERY_BODY if call.body else ())}
    if call.path not in OPEN_PATHS:
        errors.add(401)
    for status in sorted(errors - set(call.statuses)):
        responses[str(status)] = {
            "description": HTTPStatus(status).phrase,
            "content": {JSON: {"schema": _reference(ErrorAnswer)}},
        }
    operation: dict[str, Any] = {
        "operationId": call.handler.__name__,
        "summary": call.summary,
        "tags": [call.group],
        "responses": responses,
    }
    if call.path in OPEN_PATHS:
        operation["security"] = []
    if call.body is not None:
        operation["requestBody"] = {
            "required": True,
            "content": {JSON: {"schema": _reference(call.body)}},
        }
    return operation


def _reference(type_: type[Struct]) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{type_.__name__}"}
