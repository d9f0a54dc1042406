"""The way in: `GET /api/v2`, the OpenAPI description, and the page to read and try it."""

import threading
from collections.abc import Collection
from functools import cache
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.views.decorators.csrf import csrf_exempt
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.utils import OpenApiResponse
from drf_spectacular.views import SpectacularSwaggerSplitView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from core import codec
from core.http.codes import ErrorCode
from core.http.errors import ApiError, plain
from core.http.query import check_names
from trackly.api.openapi import NO_PARAMETERS, errors, operation, ref

INDEX = {
    "name": "Trackly contact ingestion",
    "version": "2",
    "documentation": "/api/v2/docs",
    "openapi": "/api/v2/openapi.json",
}


class IndexView(APIView):
    """`GET /api/v2`, the address that people are given: where to read on. It wants no key."""

    authentication_classes: list[Any] = []
    permission_classes: list[Any] = []

    @operation(
        operation_id="get_index",
        tags=["service"],
        summary="Where the API's documentation is",
        description="The only operation that wants no key.",
        auth=[],
        responses={
            200: OpenApiResponse(ref("Index"), "The API's name and version, and paths to read on."),
            **errors(NO_PARAMETERS, ErrorCode.INTERNAL_ERROR),
        },
    )
    def get(self, request: Request) -> Response:
        check_names(request._request, ())
        return Response(INDEX)


_making = threading.Lock()
"""drf-spectacular 0.30 fails where two threads make a first description at once (its extensions' classes)."""


@cache
def document() -> dict[str, Any]:
    """The OpenAPI description."""
    with _making:
        generator = SchemaGenerator()
        made: dict[str, Any] = generator.get_schema(request=None, public=True)
    return made


@cache
def encoded() -> bytes:
    """The same, as JSON."""
    return codec.encode(document())


_SAFE = ("GET", "HEAD")


def _check(request: HttpRequest, names: Collection[str]) -> None:
    """Raises 405 for what is no GET, 400 for parameters that are not known: the envelope, never a page."""
    if request.method not in _SAFE:
        message = f'Method "{request.method}" not allowed.'
        raise ApiError(405, "method_not_allowed", message, {"Allow": ", ".join(_SAFE)})
    check_names(request, names)


@csrf_exempt  # a refused POST is told so in JSON
def openapi(request: HttpRequest) -> HttpResponse:
    """`GET /openapi.json`."""
    try:
        _check(request, ())
    except ApiError as refused:
        return plain(refused)
    return HttpResponse(encoded(), content_type="application/json")


class DocsView(SpectacularSwaggerSplitView):
    """`GET /docs`: the description to read and try. Its scripts are ours: it works without the internet."""

    url_name = "openapi"
    template_name = "docs.html"
    authentication_classes: list[Any] = []
    permission_classes: list[Any] = []

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            _check(request, {"script"})  # with which the page asks for its own script
        except ApiError as refused:
            return plain(refused)
        return super().dispatch(request, *args, **kwargs)
