"""The OpenAPI description's shared parts, and the views that serve it.

Views describe themselves with drf-spectacular's `extend_schema`; as bodies are not made by serializers, their
schemas are written out (contacts.schema), in JSON Schema 2020-12 as OpenAPI 3.1 has it.
"""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, TypeVar

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from drf_spectacular.views import SpectacularSwaggerSplitView

from trackly.api import json
from trackly.api.errors import ApiError, plain
from trackly.api.query import check_names

Schema = dict[str, Any]
Handler = TypeVar("Handler", bound=Callable[..., Any])

_MEANINGS = {
    400: "`invalid_json`, `missing_contacts`, `invalid_parameter`, or the code of a single contact.",
    401: "`unauthorized`: the X-Api-Key header is missing, malformed, unknown, revoked or past its end date.",
    402: "`no_billing_config`, `no_payment_method`, `payment_failed`, `suspended`: it may not be billed.",
    403: "`account_suspended`, `forbidden`: the key lacks the scope that `scope` names.",
    404: "`not_found`, also for another account's object; `list_not_found`",
    405: "`method_not_allowed`",
    409: "`not_retryable`, `not_cancellable`: the job is not in a state for that. `list_exists`.",
    413: "`payload_too_large`, `too_many_contacts`",
    415: "`unsupported_media_type`: the body is not plain JSON.",
    422: "`idempotency_key_reused`, and for a single contact `not_sendable`, `validation_failed`",
    429: "`rate_limited`: more requests than the account's configured rate.",
    500: "`internal_error`",
    502: "`provider_error`",
    503: "`unavailable`: nothing was accepted.",
}
_ALWAYS = (400, 401, 403, 429, 500, 503)
"""400, because every operation refuses query parameters that it does not describe."""


def operation(
    *, parameters: Sequence[OpenApiParameter] = (), **described: Any
) -> Callable[[Handler], Handler]:
    """Describe a view's method, as drf-spectacular's `extend_schema` does.

    What is described is what is taken: ApiView refuses every query parameter that is not in `parameters`. A
    method that is not described takes none.
    """
    names = frozenset(
        parameter.name for parameter in parameters if parameter.location == OpenApiParameter.QUERY
    )

    def decorate(method: Handler) -> Handler:
        method.query_parameters = names  # type: ignore[attr-defined]
        method.reads_body = bool(described.get("request"))  # type: ignore[attr-defined]
        decorated: Handler = extend_schema(parameters=list(parameters), **described)(method)
        return decorated

    return decorate


def ref(name: str) -> Schema:
    """A component of the description, by name."""
    return {"$ref": f"#/components/schemas/{name}"}


def answers(good: dict[Any, OpenApiResponse], *errors: int) -> dict[Any, OpenApiResponse]:
    """All answers of an operation: the good ones, those errors, and those that every request may get."""
    bad = {status: OpenApiResponse(ref("Error"), _MEANINGS[status]) for status in sorted({*errors, *_ALWAYS})}
    return {**good, **bad}


def header(name: str, description: str, *statuses: int, example: str | None = None) -> OpenApiParameter:
    """A header of the answers with these statuses."""
    return OpenApiParameter(
        name, str, OpenApiParameter.HEADER, description=description, response=list(statuses), default=example
    )


RETRY_AFTER = header("Retry-After", "Seconds after which to send the request again.", 429, 503)

ERROR_SCHEMAS: dict[str, Schema] = {
    "Error": {
        "type": "object",
        "required": ["error", "code"],
        "properties": {
            "error": {"type": "string", "description": "A sentence for a person."},
            "code": {"type": "string", "pattern": "^[a-z_]+$", "description": "A word for a program."},
            "field": {"type": "string", "description": "The parameter or field that is meant."},
            "reason": ref("NotSendableReason"),
            "scope": {"type": "string", "description": "Of `forbidden`: the scope that the key lacks."},
            "validation": ref("Validation"),
        },
        "description": "More keys may be added.",
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
    },
}

PAGE_PARAMETERS = [
    OpenApiParameter("page", {"type": "integer", "minimum": 1, "maximum": 1_000_000_000, "default": 1}),
    OpenApiParameter("per_page", {"type": "integer", "minimum": 1, "maximum": 1000, "default": 50}),
]


class ApiKeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "trackly.accounts.authentication.ApiKeyAuthentication"
    name = "apiKey"

    def get_security_definition(self, auto_schema: Any) -> Schema:  # noqa: ARG002
        return {
            "type": "apiKey",
            "in": "header",
            "name": "X-Api-Key",
            "description": "`trk_` and 32 letters or digits. A key has scopes, and may have an end date.",
        }

    def get_security_requirement(self, auto_schema: Any) -> Schema:
        """With the scope that the key needs (OpenAPI 3.1 allows such names for any scheme)."""
        needed = auto_schema.view.scopes.get(auto_schema.method)
        return {self.name: [needed.value] if needed else []}


def complete(result: Schema, **_: Any) -> Schema:
    """drf-spectacular's hook: add the schemas that are written out; say that their bodies are required."""
    from contacts.schema import SCHEMAS  # noqa: PLC0415 - which imports this module

    result["components"]["schemas"] = dict(sorted({**ERROR_SCHEMAS, **SCHEMAS}.items()))
    for operations in result["paths"].values():
        for operation in operations.values():
            _name_scope(operation)
            if "requestBody" in operation:
                operation["requestBody"]["required"] = True
    return result


def _name_scope(operation: Schema) -> None:
    """Say in the text, too, which scope the key needs: pages show no security requirements' names."""
    for requirement in operation.get("security", ()):
        for scope in requirement.get(ApiKeyScheme.name, ()):
            needs = f"Needs a key with the scope `{scope}`."
            operation["description"] = f"{operation.get('description', '')}\n\n{needs}".strip()


@cache
def _document() -> bytes:
    generator = SchemaGenerator()  # type: ignore[no-untyped-call]
    return json.encode(generator.get_schema(request=None, public=True))  # type: ignore[no-untyped-call]


def openapi(request: HttpRequest) -> HttpResponse:
    """`GET /openapi.json`."""
    try:
        check_names(request, ())
    except ApiError as refused:
        return plain(refused)
    return HttpResponse(_document(), content_type="application/json")


class DocsView(SpectacularSwaggerSplitView):
    """`GET /docs`: the description to read and try. Its scripts are ours: it works without the internet."""

    url_name = "openapi"
    authentication_classes: list[Any] = []
    permission_classes: list[Any] = []

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            check_names(request, {"script"})  # with which the page asks for its own script
        except ApiError as refused:
            return plain(refused)
        return super().dispatch(request, *args, **kwargs)
