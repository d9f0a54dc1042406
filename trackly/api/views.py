"""What every view of the API does."""

from typing import Any

from django.http import HttpResponseBase
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from trackly.accounts.throttling import AccountThrottle, tell


class ApiView(APIView):
    """A view below /api/v2: it counts against the account's rate limit, and its answer tells what is left."""

    throttle_classes = [AccountThrottle]

    def finalize_response(
        self, request: Request, response: HttpResponseBase, *args: Any, **kwargs: Any
    ) -> Response:
        finished = super().finalize_response(request, response, *args, **kwargs)  # type: ignore[arg-type]
        tell(request, finished)
        return finished
