"""What every view of the API does."""

from collections.abc import Callable, Mapping
from typing import Any

from django.http import HttpRequest, HttpResponseBase
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.scopes import Scope
from accounts.throttling import AccountThrottle, tell
from core.http.body import read_body
from core.http.errors import ApiError
from core.http.query import check_names


class ApiView(APIView):
    """A view below /api/v2: it counts against the account's rate limit, and its answer tells what is left."""

    throttle_classes = [AccountThrottle]
    http_method_names = [name for name in APIView.http_method_names if name != "options"]
    scopes: Mapping[str, Scope] = {}
    """The scope that a key needs, by method. Declared with the path: `as_view(scopes={"GET": …})`; HEAD needs
    what GET needs. A method that is left out is refused to every key.
    """

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        _check_parameters(request._request, getattr(self, str(request.method).lower(), None))

    def finalize_response(
        self, request: Request, response: HttpResponseBase, *args: Any, **kwargs: Any
    ) -> Response:
        finished = super().finalize_response(request, response, *args, **kwargs)  # type: ignore[arg-type]
        tell(request, finished)
        return finished


def _check_parameters(request: HttpRequest, handler: Callable[..., Any] | None) -> None:
    """Refuse query parameters that the handler's description does not name (trackly.api.openapi.operation).

    Nothing is said of them where the method is not allowed: that is a 405 whatever the query.
    """
    if handler is None or request.method == "OPTIONS":
        return
    try:
        check_names(request, getattr(handler, "query_parameters", ()))
    except ApiError:
        if getattr(handler, "reads_body", False):
            read_body(request)  # what is wrong with the body's type (415) or size (413) comes first
        raise
