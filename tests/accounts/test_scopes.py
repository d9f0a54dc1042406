"""What a key may do: every path declares it, and a key without the scope is refused (contract, "Reading")."""

from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, path
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.test import APIRequestFactory
from rest_framework.views import APIView

from accounts.keys import create_key
from accounts.models import Account, ApiKey
from accounts.scopes import Scope, all_scopes
from tests.support import LIST, contact, new_account
from trackly.api import docs
from trackly.api.base import ApiView

pytestmark = pytest.mark.django_db

PUBLIC = {docs.IndexView, docs.openapi, docs.DocsView}
"""What needs no key."""
HANDLERS = {"get", "post", "put", "patch", "delete", "head", "options", "trace"}


class Nothing(ApiView):
    """A view for the test of the test."""

    def get(self, _: Request) -> Response:
        return Response({})

    def post(self, _: Request) -> Response:
        return Response({})


def endpoints(patterns: Iterable[URLPattern | URLResolver], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for pattern in patterns:
        where = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from endpoints(pattern.url_patterns, where)
        elif where == "api/v2" or where.startswith("api/v2/"):
            yield where, pattern.callback


def undeclared(patterns: Iterable[URLPattern | URLResolver]) -> list[str]:
    """Endpoints below /api/v2, but for public ones, whose methods and declared scopes are not the same."""
    wrong = []
    for where, callback in endpoints(patterns):
        view = getattr(callback, "cls", callback)
        if view in PUBLIC:
            continue
        declared = getattr(callback, "initkwargs", {}).get("scopes", {})
        handled = {name.upper() for name in HANDLERS & set(vars(view))} if isinstance(view, type) else {"ANY"}
        guarded = isinstance(view, type) and issubclass(view, ApiView)
        if not guarded or set(declared) != handled or not set(declared.values()) <= set(Scope):
            wrong.append(where)
    return wrong


def a_function(_: HttpRequest) -> HttpResponse:
    return HttpResponse()


def test_every_endpoint_declares_the_scope_of_every_method() -> None:
    assert len(list(endpoints(get_resolver().url_patterns))) > 12
    assert undeclared(get_resolver().url_patterns) == []


@pytest.mark.parametrize(
    "view",
    [
        Nothing.as_view(),
        Nothing.as_view(scopes={"GET": Scope.PRIVACY}),
        Nothing.as_view(scopes={"GET": Scope.PRIVACY, "POST": "contacts:delete"}),
        APIView.as_view(),
        a_function,
    ],
)
def test_an_endpoint_that_declares_none_is_found(view: Any) -> None:
    assert undeclared([path("api/v2/forgotten", view)]) == ["api/v2/forgotten"]


def test_a_method_without_a_declared_scope_is_refused_to_a_key_with_all_scopes() -> None:
    _, key = create_key(new_account()[0], name="a")
    view = Nothing.as_view(scopes={"GET": Scope.PRIVACY})
    make = APIRequestFactory()
    refused = view(make.post("/", headers={"X-Api-Key": key}))
    assert (refused.status_code, refused.data["code"]) == (403, "forbidden")
    assert view(make.get("/", headers={"X-Api-Key": key})).status_code == 200


JOB = uuid4()
REQUESTS = [
    (Scope.CONTACTS_READ, "get", "contacts"),
    (Scope.CONTACTS_READ, "head", "contacts"),
    (Scope.CONTACTS_READ, "get", "contacts/+14155559876"),
    (Scope.CONTACTS_READ, "get", "jobs"),
    *((Scope.CONTACTS_READ, "get", f"jobs/{JOB}{part}") for part in ("", "/results", "/errors.csv")),
    (Scope.CONTACTS_READ, "get", "lists"),
    (Scope.CONTACTS_READ, "get", "lists/1"),
    (Scope.CONTACTS_READ, "get", "usage"),
    (Scope.CONTACTS_WRITE, "post", "contacts"),
    (Scope.CONTACTS_WRITE, "delete", "contacts"),
    (Scope.CONTACTS_WRITE, "post", "contacts/bulk"),
    (Scope.CONTACTS_WRITE, "post", "contacts/bulk?dry_run=true"),
    (Scope.CONTACTS_WRITE, "post", f"jobs/{JOB}/retry"),
    (Scope.CONTACTS_WRITE, "post", f"jobs/{JOB}/cancel"),
]


@pytest.mark.parametrize(("needed", "method", "where"), REQUESTS)
def test_a_key_needs_the_scope_of_the_request_and_no_other(
    client: Client, needed: Scope, method: str, where: str
) -> None:
    account, _ = new_account()

    def answer(*scopes: str) -> Any:
        _, key = create_key(account, name="a", scopes=scopes)
        return getattr(client, method)(f"/api/v2/{where}", headers={"X-Api-Key": key})

    refused = answer(*(scope for scope in Scope if scope != needed))
    assert refused.status_code == 403
    if method != "head":
        body = refused.json()
        assert (body["code"], body["scope"]) == ("forbidden", needed)
        assert needed in body["error"]
    assert answer(needed).status_code not in {401, 403}


def test_a_key_has_all_scopes_unless_it_is_given_fewer() -> None:
    row, _ = create_key(new_account()[0], name="a")
    assert set(row.scopes) == {"contacts:write", "contacts:read", "privacy", "webhooks"}
    # As a process that still runs the code of before makes it:
    made = ApiKey.objects.raw(
        "INSERT INTO accounts_apikey (account_id, name, hint, digest, created_at)"
        " VALUES (%s, 'old', 'trk_0000', 'x', now()) RETURNING *",
        [row.account_id],
    )[0]
    assert (made.scopes, made.expires_at) == (all_scopes(), None)


@pytest.mark.parametrize("scopes", [[], ["contacts:delete"]])
def test_a_key_without_scopes_or_with_an_unknown_one_can_not_be_kept(scopes: list[str]) -> None:
    with pytest.raises(IntegrityError, match="accounts_apikey_scopes_known"), transaction.atomic():
        create_key(new_account()[0], name="a", scopes=scopes)


def ask(client: Client, key: str, **more: Any) -> tuple[int, str]:
    """Send something wrong in all that comes later in the contract's order of checks."""
    answer = client.post("/api/v2/contacts/bulk", b"{", content_type="text/plain", headers={"X-Api-Key": key})
    return answer.status_code, answer.json()["code"]


def test_the_checks_come_in_the_contract_s_order(client: Client) -> None:
    account, _ = new_account()
    row, key = create_key(account, name="a", scopes=[Scope.CONTACTS_READ])
    Account.objects.update(suspended_at=timezone.now(), requests_per_minute=1)
    ApiKey.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert ask(client, key) == (401, "unauthorized")
    ApiKey.objects.update(expires_at=None)
    assert ask(client, key) == (403, "account_suspended")
    Account.objects.update(suspended_at=None)
    # Refused requests do not use up the rate.
    assert [ask(client, key) for _ in range(3)] == [(403, "forbidden")] * 3
    ApiKey.objects.filter(pk=row.pk).update(scopes=[Scope.CONTACTS_WRITE])
    assert [ask(client, key) for _ in range(2)] == [(415, "unsupported_media_type"), (429, "rate_limited")]


@pytest.mark.parametrize("method", ["put", "patch", "options", "trace"])
def test_a_method_that_a_path_has_not_is_405_for_every_key(client: Client, method: str) -> None:
    _, key = create_key(new_account()[0], name="a", scopes=[Scope.WEBHOOKS])
    answer = getattr(client, method)("/api/v2/contacts", headers={"X-Api-Key": key})
    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
    assert "OPTIONS" not in answer["Allow"]


def test_scopes_are_read_with_every_request(client: Client) -> None:
    row, key = create_key(new_account()[0], name="a")
    sent = {"phone_number": contact()["phone_number"], "list_number": LIST}

    def unsubscribe() -> int:
        return client.delete(
            "/api/v2/contacts", sent, content_type="application/json", headers={"X-Api-Key": key}
        ).status_code

    assert unsubscribe() == 200
    ApiKey.objects.filter(pk=row.pk).update(scopes=[Scope.CONTACTS_READ])
    assert unsubscribe() == 403


def test_the_description_names_each_operation_s_scope(client: Client) -> None:
    described = client.get("/api/v2/openapi.json").json()
    found = {
        (path, method): operation["security"]
        for path, operations in described["paths"].items()
        for method, operation in operations.items()
        if path != "/api/v2"  # which wants no key
    }
    assert found["/api/v2/contacts", "get"] == [{"apiKey": ["contacts:read"]}]
    assert found["/api/v2/contacts/bulk", "post"] == [{"apiKey": ["contacts:write"]}]
    assert all(len(names["apiKey"]) == 1 for [names] in found.values())
    bulk = described["paths"]["/api/v2/contacts/bulk"]["post"]
    assert "Needs a key with the scope `contacts:write`." in bulk["description"]
    assert "`forbidden`" in bulk["responses"]["403"]["description"]
