"""The OpenAPI description's shared parts.

Views describe themselves with drf-spectacular's `extend_schema`; as bodies are not made by serializers, their
schemas are written out (trackly.api.schemas), in JSON Schema 2020-12 as OpenAPI 3.1 has it. Some of what that
allows makes common generators fail or lose types, so it is not used: `const`, an open `anyOf` of a schema and
anything, inline objects without a name.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema

from core.http.codes import EVERYWHERE, ErrorCode

Schema = dict[str, Any]
Handler = TypeVar("Handler", bound=Callable[..., Any])

Body = dict[str, Any]
"""An error's body, as the service says it."""


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
        noted: Any = method  # functions take attributes
        noted.query_parameters = names
        noted.reads_body = bool(described.get("request"))
        decorated: Handler = extend_schema(parameters=list(parameters), **described)(method)
        return decorated

    return decorate


NO_PARAMETERS = ErrorCode.INVALID_PARAMETER.body(
    "verbose is an unknown query parameter; there are none here.", field="verbose"
)
"""The refusal of a parameter by an operation that takes none."""


def ref(name: str) -> Schema:
    """A component of the description, by name."""
    return {"$ref": f"#/components/schemas/{name}"}


def errors(*wanted: ErrorCode | Body) -> dict[Any, OpenApiResponse]:
    """The error answers of an operation, by status, each with a real example of every code that it may bear.

    Wanted are codes, or bodies (`ErrorCode.body`) where the operation says another sentence than usual.
    """
    by_status: dict[int, list[Body]] = {}
    for error in wanted:
        body = error.body() if isinstance(error, ErrorCode) else error
        by_status.setdefault(ErrorCode(body["code"]).status, []).append(body)
    return {
        status: OpenApiResponse(
            ref("Error"),
            "\n".join(f"- `{body['code']}`: {ErrorCode(body['code']).meaning}" for body in bodies),
            [OpenApiExample(body["code"], body) for body in bodies],
        )
        for status, bodies in sorted(by_status.items())
    }


def answers(good: dict[Any, OpenApiResponse], *wanted: ErrorCode | Body) -> dict[Any, OpenApiResponse]:
    """All answers of an operation: the good ones, those errors, and those that every request may get.

    Of `invalid_parameter` there is always an example: every operation refuses what it does not describe.
    """
    codes = {error if isinstance(error, ErrorCode) else error["code"] for error in wanted}
    unknown = () if ErrorCode.INVALID_PARAMETER in codes else (NO_PARAMETERS,)
    return {**good, **errors(*wanted, *unknown, *EVERYWHERE)}


def header(name: str, description: str, *statuses: int, schema: Schema | None = None) -> OpenApiParameter:
    """A header of the answers with these statuses; text, unless its schema says otherwise."""
    kind = schema or {"type": "string"}
    return OpenApiParameter(
        name, kind, OpenApiParameter.HEADER, description=description, response=list(statuses)
    )


SECONDS: Schema = {"type": "integer", "minimum": 1, "examples": [5]}
RETRY_AFTER = header(
    "Retry-After", "Seconds after which to send the request again.", 202, 429, 503, schema=SECONDS
)
PAGE_PARAMETERS = [
    OpenApiParameter(
        "page",
        {"type": "integer", "minimum": 1, "maximum": 1_000_000_000, "default": 1},
        description="Which page, counted from 1.",
    ),
    OpenApiParameter(
        "per_page",
        {"type": "integer", "minimum": 1, "maximum": 1000, "default": 50},
        description="Entries on a page.",
    ),
]


class WrittenOut(AutoSchema):
    """Describes an operation by what `extend_schema` says and nothing else."""

    def get_description(self) -> str:  # type: ignore[override] # drf-spectacular's, not DRF's
        """Nothing, where nothing is said: a view's docstring is for developers."""
        return ""


class ApiKeyScheme(OpenApiAuthenticationExtension):
    target_class = "accounts.authentication.ApiKeyAuthentication"
    name = "apiKey"

    def get_security_definition(self, auto_schema: Any) -> Schema:
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
