"""What the OpenAPI description says of all operations: drf-spectacular's hook."""

from functools import cache
from typing import Any

from django.conf import settings

from core.http.codes import ErrorCode
from trackly.api.openapi import ApiKeyScheme, Schema, ref
from trackly.api.schemas import SCHEMAS

_REQUEST_ID: Schema = {
    "description": "The answer's id in the service's logs: quote it when you ask support about the request.",
    "required": True,
    "schema": {"type": "string", "examples": ["7742eab329a74b19bad272cb72605d88"]},
}
_RATE: dict[str, Schema] = {
    "RateLimit-Policy": {
        "description": "The account's rate, where it has one: `q` requests in each window of `w` seconds.",
        "schema": {"type": "string", "examples": ['"account";q=600;w=60']},
    },
    "RateLimit": {
        "description": "What is left of it: `r` requests, for `t` seconds more.",
        "schema": {"type": "string", "examples": ['"account";r=599;t=42']},
    },
}
_CHALLENGE: Schema = {"description": "`ApiKey`: send X-Api-Key.", "schema": {"type": "string"}}

_ERROR_SCHEMAS: dict[str, Schema] = {
    "Error": {
        "type": "object",
        "required": ["error", "code"],
        "properties": {
            "error": {"type": "string", "description": "What happened, in a sentence for people."},
            "code": {
                "type": "string",
                "description": "What happened, in a word for programs. Codes may be added: take one that"
                " you don't know for what its HTTP status says.",
                "x-extensible-enum": list(ErrorCode),
                "examples": [ErrorCode.INVALID_PARAMETER],
            },
            "field": {
                "type": "string",
                "description": "The parameter or field that is meant, where the error is about one.",
                "examples": ["page"],
            },
            "reason": ref("NotSendableReason"),
            "scope": {
                "type": "string",
                "description": "Of `forbidden`: the scope that the key lacks.",
                "examples": ["contacts:write"],
            },
            "list_id": {"type": "integer", "description": "Of `list_exists`: the `id` of that list."},
            "validation": ref("Validation"),
        },
        "description": "Any error. More keys may be added.",
    },
    "Pagination": {
        "type": "object",
        "required": ["page", "per_page", "total", "total_pages"],
        "properties": {
            "page": {"type": "integer", "minimum": 1},
            "per_page": {"type": "integer", "minimum": 1, "maximum": 1000},
            "total": {"type": "integer", "minimum": 0, "description": "Entries on all pages."},
            "total_pages": {"type": "integer", "minimum": 0},
        },
        "description": "Where this page is among all pages.",
    },
}


@cache
def _about() -> str:
    return (settings.BASE_DIR / "trackly/api/description.md").read_text()


def complete(result: Schema, **_: Any) -> Schema:
    """drf-spectacular's hook: add what is written out (introduction, schemas) and what holds everywhere."""
    result["info"]["description"] = _about()
    components = result["components"]
    components["schemas"] = dict(sorted({**_ERROR_SCHEMAS, **SCHEMAS}.items()))
    components["headers"] = {"X-Request-Id": _REQUEST_ID, **_RATE}
    for operations in result["paths"].values():
        for operation in operations.values():
            _complete_operation(operation)
    return result


def _name_scope(operation: Schema) -> None:
    """Say in the text, too, which scope the key needs: pages show no security requirements' names."""
    for requirement in operation.get("security", ()):
        for scope in requirement.get(ApiKeyScheme.name, ()):
            needs = f"Needs a key with the scope `{scope}`."
            operation["description"] = f"{operation.get('description', '')}\n\n{needs}".strip()


def _complete_operation(operation: Schema) -> None:
    _name_scope(operation)
    operation["tags"] = [tag.capitalize() for tag in operation["tags"]]
    if "requestBody" in operation:
        operation["requestBody"]["required"] = True
    names = ["X-Request-Id", *(_RATE if operation.get("security") else ())]
    for status, response in operation["responses"].items():
        headers = response.setdefault("headers", {})
        headers.update({name: {"$ref": f"#/components/headers/{name}"} for name in names})
        if status == "401":
            headers["WWW-Authenticate"] = _CHALLENGE
