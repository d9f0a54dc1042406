"""The request id, on every answer and on every log line that its request causes; and what caches may keep."""

import time
import uuid
from collections.abc import Callable

import structlog
from django.http import HttpRequest, HttpResponse
from django.utils.cache import patch_vary_headers

from core.http import request_log

_PUBLIC = ("/api/v2/openapi.json", "/api/v2/docs")


def private(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Middleware: no cache keeps an answer of the API, but for its description (contract, "Made precise")."""

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        if request.path.startswith("/api/") and not request.path.startswith(_PUBLIC):
            response["Cache-Control"] = "no-store"
            patch_vary_headers(response, ["X-Api-Key"])
        return response

    return middleware


def request_id(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Outermost middleware. A client's own X-Request-Id is not taken over: ids in our logs are ours."""

    def middleware(request: HttpRequest) -> HttpResponse:
        started = time.perf_counter()
        identity = uuid.uuid4().hex
        with structlog.contextvars.bound_contextvars(request_id=identity), request_log.noting() as noted:
            response = get_response(request)
            if request_log.is_logged(request):
                request_log.write(request, response, started, noted)
        response["X-Request-Id"] = identity
        return response

    return middleware
