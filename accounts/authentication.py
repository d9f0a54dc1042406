"""Authentication and permission: the first two checks of every request (contract, "Every request")."""

from typing import TYPE_CHECKING, cast

from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from accounts.keys import find_key, hint_of, record_use
from accounts.models import Account, ApiKey
from core.http import request_log
from core.http.errors import ApiError

if TYPE_CHECKING:  # rest_framework.views imports this module, as a setting of its own
    from rest_framework.views import APIView


class ApiKeyAuthentication(BaseAuthentication):
    """`X-Api-Key`. A request without one is as unauthorized as one with a wrong one."""

    def authenticate(self, request: Request) -> tuple[Account, ApiKey]:
        given = request.headers.get("X-Api-Key", "")
        request_log.note(key=hint_of(given))
        key = find_key(given)
        if key is None:
            raise AuthenticationFailed
        request_log.note(account=key.account_id)
        record_use(key)
        return key.account, key

    def authenticate_header(self, request: Request) -> str:
        return "ApiKey"  # without a challenge DRF would answer 403


class AccountMayAct(BasePermission):
    """Suspended accounts are refused, from the row read with this very request."""

    def has_permission(self, request: Request, view: "APIView") -> bool:
        if account_of(request).suspended_at is not None:
            raise ApiError(403, "account_suspended", "This account is suspended.")
        return True


class KeyHasScope(BasePermission):
    """The key has the scope that the view's path declares for the method; where none is declared, no key has.

    See trackly.api.base.ApiView.scopes.
    """

    def has_permission(self, request: Request, view: "APIView") -> bool:
        method = "GET" if request.method == "HEAD" else str(request.method)
        if method not in view.allowed_methods:
            return True  # it is answered 405
        needed = getattr(view, "scopes", {}).get(method)
        if needed is None:
            raise ApiError(403, "forbidden", "No API key may do this.")
        if needed not in cast("ApiKey", request.auth).scopes:
            raise ApiError(
                403,
                "forbidden",
                f"This API key lacks the scope {needed}, which this request needs. Use a key that has it.",
                scope=needed.value,
            )
        return True


def account_of(request: Request) -> Account:
    """The account whose key the request bears."""
    return cast("Account", request.user)  # ApiKeyAuthentication returns nothing else
