"""`GET /usage` (contract, "The rest"), and the page that Stripe sends a customer back to."""

import re
from datetime import date

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.authentication import account_of
from billing import months, usage
from core.http.errors import invalid_parameter
from trackly.api import schemas
from trackly.api.base import ApiView

_MONTH = re.compile(r"([1-9][0-9]{3})-(0[1-9]|1[0-2])", re.ASCII)


class UsageView(ApiView):
    """What the account's paid validations of a month come to."""

    @schemas.usage
    def get(self, request: Request) -> Response:
        month = months.month_of(timezone.now())
        if (given := request.GET.get("month")) is not None:
            match = _MONTH.fullmatch(given)
            if match is None:
                raise invalid_parameter("month", "must be written YYYY-MM")
            month = date(int(match[1]), int(match[2]), 1)
        if month.year == date.max.year:
            return Response(usage.Usage(month).as_json())
        return Response(usage.of_months(account_of(request).pk, [month])[0].as_json())


def registered(_: HttpRequest) -> HttpResponse:
    """The page that Stripe redirects a customer to after a card was registered."""
    return HttpResponse("Thank you. Your payment method is registered.", content_type="text/plain")
