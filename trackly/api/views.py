"""What every view of the API does."""

from typing import Any

import structlog
from django.http import HttpResponseBase
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from trackly.accounts.models import ApiKey
from trackly.accounts.throttling import AccountThrottle, tell

logger = structlog.get_logger(__name__)


class ApiView(APIView):
    """A view below /api/v2: it counts against the account's rate limit, and its answer tells what is left."""

    throttle_classes = [AccountThrottle]

    def finalize_response(
        self, request: Request, response: HttpResponseBase, *args: Any, **kwargs: Any
    ) -> Response:
        finished = super().finalize_response(request, response, *args, **kwargs)  # type: ignore[arg-type]
        tell(request, finished)
        _note(request, finished)
        return finished


def _note(request: Request, response: HttpResponseBase) -> None:
    """The audit trail of keys: who asked for what, and what came of it. Paths may hold a number: masked."""
    if isinstance(key := getattr(request, "_auth", None), ApiKey):
        logger.info(
            "api_request",
            account=key.account_id,
            key=key.hint,
            method=request.method,
            path=request.path,
            status=response.status_code,
        )
