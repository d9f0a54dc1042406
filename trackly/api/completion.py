"""What the OpenAPI description says of all operations: drf-spectacular's hook."""

from functools import cache
from typing import Any

from django.conf import settings

from trackly.api.openapi import CHALLENGE, ERROR_SCHEMAS, RATE, REQUEST_ID, ApiKeyScheme, Schema
from trackly.api.schemas import SCHEMAS


@cache
def _about() -> str:
    return (settings.BASE_DIR / "trackly/api/description.md").read_text()


def complete(result: Schema, **_: Any) -> Schema:
    """drf-spectacular's hook: add what is written out (introduction, schemas) and what holds everywhere."""
    result["info"]["description"] = _about()
    components = result["components"]
    components["schemas"] = dict(sorted({**ERROR_SCHEMAS, **SCHEMAS}.items()))
    components["headers"] = {"X-Request-Id": REQUEST_ID, **RATE}
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
    names = ["X-Request-Id", *(RATE if operation.get("security") else ())]
    for status, response in operation["responses"].items():
        headers = response.setdefault("headers", {})
        headers.update({name: {"$ref": f"#/components/headers/{name}"} for name in names})
        if status == "401":
            headers["WWW-Authenticate"] = CHALLENGE
