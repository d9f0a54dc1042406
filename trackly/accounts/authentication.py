"""Who is it, and may it act: the first two checks of every request (contract, "Every request")."""

from typing import TYPE_CHECKING, cast

from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from trackly.accounts.keys import find_key, record_use
from trackly.accounts.models import Account, ApiKey
from trackly.api.errors import ApiError

if TYPE_CHECKING:  # rest_framework.views imports this module, as a setting of its own
    from rest_framework.views import APIView


class ApiKeyAuthentication(BaseAuthentication):
    """`X-Api-Key`. A request without one is as unauthorized as one with a wrong one."""

    def authenticate(self, request: Request) -> tuple[Account, ApiKey]:
        key = find_key(request.headers.get("X-Api-Key", ""))
        if key is None:
            raise AuthenticationFailed
        record_use(key)
        return key.account, key

    def authenticate_header(self, request: Request) -> str:  # noqa: ARG002 - DRF's signature
        return "ApiKey"  # without a challenge DRF would answer 403


class AccountMayAct(BasePermission):
    """Suspended accounts are refused, from the row read with this very request."""

    def has_permission(self, request: Request, view: "APIView") -> bool:  # noqa: ARG002 - DRF's signature
        if account_of(request).suspended_at is not None:
            raise ApiError(403, "account_suspended", "This account is suspended.")
        return True


def account_of(request: Request) -> Account:
    """The account whose key the request bears."""
    return cast("Account", request.user)  # ApiKeyAuthentication returns nothing else
