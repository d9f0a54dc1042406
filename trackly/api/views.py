"""What every view of the API does."""

from collections.abc import Mapping
from typing import Any

from django.http import HttpResponseBase
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from trackly.accounts.scopes import Scope
from trackly.accounts.throttling import AccountThrottle, tell


class ApiView(APIView):
    """A view below /api/v2: it counts against the account's rate limit, and its answer tells what is left."""

    throttle_classes = [AccountThrottle]
    http_method_names = [name for name in APIView.http_method_names if name != "options"]
    scopes: Mapping[str, Scope] = {}
    """The scope that a key needs, by method. Declared with the path: `as_view(scopes={"GET": …})`; HEAD needs
    what GET needs. A method that is left out is refused to every key.
    """

    def finalize_response(
        self, request: Request, response: HttpResponseBase, *args: Any, **kwargs: Any
    ) -> Response:
        finished = super().finalize_response(request, response, *args, **kwargs)  # type: ignore[arg-type]
        tell(request, finished)
        return finished
