"""The error envelope of the contract ("Every request") and what becomes of each exception."""

from http import HTTPStatus
from typing import Any

import structlog
from django.core.exceptions import SuspiciousOperation
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from django.views import defaults
from rest_framework import exceptions
from rest_framework.response import Response

from core import codec
from core.http import request_log

logger = structlog.get_logger(__name__)

RETRY_AFTER_SECONDS = 5


class ApiError(Exception):
    """An answer other than success: an HTTP status, a word for programs, a sentence for people.

    Raised anywhere below a view; `exception_handler` turns it into the envelope.
    """

    def __init__(
        self, status: int, code: str, message: str, headers: dict[str, str] | None = None, **more: Any
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers or {}
        self.more = more
        """Further keys of the body."""


def unavailable() -> ApiError:
    """503: the service can't take work safely; nothing was accepted (contract, "Every request")."""
    return ApiError(
        503,
        "unavailable",
        "The service can't take this request at the moment. Nothing was accepted; send it again.",
        {"Retry-After": str(RETRY_AFTER_SECONDS)},
    )


def not_found() -> ApiError:
    """404: an object that is not the account's, whether or not it is another's."""
    return ApiError(404, "not_found", "Not found: this account has nothing with that id or number.")


def unusable() -> ApiError:
    """400: a request that Django itself refuses."""
    return ApiError(400, "invalid_request", "The request can't be used.")


def invalid_parameter(name: str, message: str) -> ApiError:
    """400: a parameter of the query, or a header, can't be used."""
    return ApiError(400, "invalid_parameter", f"{name} {message}.", field=name)


def envelope(error: ApiError) -> dict[str, Any]:
    """The body of the error's answer; the request's log line bears its code."""
    request_log.note(code=error.code)
    return {"error": error.message, "code": error.code, **error.more}


def as_api_error(exc: Exception) -> ApiError | None:
    """What a client is told of `exc`, or None for an exception that is not expected."""
    error = None
    match exc:
        case ApiError():
            error = exc
        case exceptions.AuthenticationFailed():
            challenge = {"WWW-Authenticate": "ApiKey"}
            error = ApiError(401, "unauthorized", "Missing or invalid X-Api-Key header.", challenge)
        case Http404():
            error = not_found()
        case SuspiciousOperation():  # more query parameters than Django reads
            error = unusable()
        case exceptions.MethodNotAllowed():
            error = ApiError(405, "method_not_allowed", str(exc.detail))
        case OperationalError() | InterfaceError():
            logger.warning("database_unavailable", exc_info=exc)
            error = unavailable()
    return error


def exception_handler(exc: Exception, context: dict[str, Any]) -> Response:
    """DRF's hook (EXCEPTION_HANDLER): any exception below a view becomes the envelope."""
    error = as_api_error(exc)
    if error is None:
        logger.error("unhandled_exception", exc_info=exc)
        error = ApiError(500, "internal_error", "An unexpected server error occurred.")
    response = Response(envelope(error), status=error.status, headers=error.headers)
    if error.status == HTTPStatus.METHOD_NOT_ALLOWED:  # RFC 9110, 15.5.6: it names what is allowed
        response["Allow"] = ", ".join(context["view"].allowed_methods)
    return response


def plain(error: ApiError) -> HttpResponse:
    """The envelope where DRF is not at hand: no such path, an exception in a middleware."""
    return HttpResponse(
        codec.encode(envelope(error)),
        status=error.status,
        headers=error.headers,
        content_type="application/json",
    )


def no_such_path(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Django's handler404, and whatever /api/ does not know: JSON there, a page for people elsewhere."""
    if _is_api(request):
        return plain(ApiError(404, "not_found", "Not found: the API has no such path. See /api/v2/docs."))
    return defaults.page_not_found(request, exception or Http404())


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Django's handler400: a request that it refuses itself, such as one for an unknown host."""
    if _is_api(request):
        return plain(unusable())
    return defaults.bad_request(request, exception or Exception())


def server_error(request: HttpRequest) -> HttpResponse:
    """Django's handler500, for what fails outside of a DRF view (Django has logged it)."""
    if _is_api(request):
        return plain(ApiError(500, "internal_error", "An unexpected server error occurred."))
    return defaults.server_error(request)


def _is_api(request: HttpRequest) -> bool:
    return request.path == "/api" or request.path.startswith("/api/")
