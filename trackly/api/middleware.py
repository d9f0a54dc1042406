"""The request id: on every answer, and on every log line that its request causes."""

import uuid
from collections.abc import Callable

import structlog
from django.http import HttpRequest, HttpResponse


def request_id(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Outermost middleware. A client's own X-Request-Id is not taken over: ids in our logs are ours."""

    def middleware(request: HttpRequest) -> HttpResponse:
        identity = uuid.uuid4().hex
        with structlog.contextvars.bound_contextvars(request_id=identity):
            response = get_response(request)
        response["X-Request-Id"] = identity
        return response

    return middleware
