"""Contacts and lists: a view checks and answers."""

from itertools import chain
from typing import Any

from django.http import Http404, HttpResponseBase, StreamingHttpResponse
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.authentication import account_of
from billing import ledger
from contacts import lists, phone, queries, tally
from contacts.models import ListStatus, SendingList
from core import codec
from core.http.body import read_body, read_object
from core.http.errors import ApiError, invalid_parameter
from core.http.query import boolean, choice, page_of
from core.http.spool import spooled, with_array
from journeys.opt_out import unsubscribe
from trackly.api import schemas, single
from trackly.api.base import ApiView
from trackly.api.export import members_csv


class ContactsView(ApiView):
    """`GET`, `POST` and `DELETE /contacts` (contract, "The rest")."""

    @schemas.contacts
    def get(self, request: Request) -> HttpResponseBase:
        page, active = page_of(request._request), boolean(request._request, "active")
        wanted = queries.visible_lists(account_of(request))
        if (number := request.GET.get("list_number")) is not None:
            if not phone.is_e164(number):
                raise invalid_parameter("list_number", "must be an E.164 number")
            wanted = [made for made in wanted if made.phone_number == number]
            if not wanted:
                raise ApiError(404, "list_not_found", "No sending list with this list_number exists.")
        ids, total = queries.members(wanted, active=active, page=page)
        entries = map(codec.encode, queries.entries(ids))
        return spooled(with_array({}, "contacts", entries, {"pagination": page.describe(total)}))

    @schemas.single
    def post(self, request: Request) -> Response:
        return single.create(account_of(request), request._request)

    @schemas.unsubscribe
    def delete(self, request: Request) -> Response:
        given = self._given(request)
        phone_number = _number(given, "phone_number", "invalid_phone")
        list_number = _number(given, "list_number", "invalid_list_number")
        done = unsubscribe(account_of(request), phone_number, list_number)
        return Response({"success": True, "unsubscribed": done})

    @staticmethod
    def _given(request: Request) -> dict[str, Any]:
        """The two numbers, from the query or from a JSON body (some clients can't send one with DELETE)."""
        names = ("phone_number", "list_number")
        if any(name in request.GET for name in names) or not request.headers.get("Content-Type"):
            return {name: request.GET.get(name) for name in names}
        members = read_object(read_body(request._request))
        return {name: codec.loads(members.get(name, b"null")) for name in names}


def _number(given: dict[str, Any], name: str, invalid: str) -> str:
    """A number in E.164. Raises 400 as a contact's entry of `errors` would say it."""
    number = given[name]
    if number is None or number == "":
        raise ApiError(400, f"missing_{name}", f"{name} is missing.")
    if not isinstance(number, str) or not phone.is_e164(number):
        raise ApiError(400, invalid, f"{name} is not a valid E.164 number.")
    return number


class ContactView(ApiView):
    """`GET /contacts/<phone_number>`: the contact and its memberships on this account's lists."""

    @schemas.contact
    def get(self, request: Request, phone_number: str) -> HttpResponseBase:
        account = account_of(request)
        entries = queries.entries(queries.memberships(account, phone_number))
        first = next(entries, None)
        if first is None:
            raise Http404
        contact = {name: first[name] for name in _OF_CONTACT}
        memberships = map(_membership, chain([first], entries))
        finding = ledger.known(account.pk, [phone_number]).get(phone_number)
        validation = finding.as_json(micro_dollars=0) if finding else None
        return spooled(with_array(contact, "memberships", memberships, {"validation": validation}))


_OF_CONTACT = ("phone_number", "carrier", "line_type", "timezone", "is_valid")


def _membership(entry: dict[str, Any]) -> bytes:
    """What an entry of `GET /contacts` says of the membership, not of the contact."""
    return codec.encode({name: value for name, value in entry.items() if name not in _OF_CONTACT})


class ListsView(ApiView):
    """`GET` and `POST /lists`."""

    @schemas.lists
    def get(self, request: Request) -> Response:
        shown = [ListStatus.ACTIVE, ListStatus.PAUSED]
        page, status = page_of(request._request), choice(request._request, "status", shown)
        found = account_of(request).sending_lists.filter(status__in=shown if status is None else [status])
        on_page = list(found.order_by("pk")[page.slice])
        tallies = tally.of_lists(made.pk for made in on_page)
        described = [queries.describe_list(made, tallies[made.pk]) for made in on_page]
        return Response({"lists": described, "pagination": page.describe(found.count())})

    @schemas.create_list
    def post(self, request: Request) -> Response:
        made = lists.create(account_of(request), read_object(read_body(request._request)))
        headers = {"Location": f"/api/v2/lists/{made.pk}"}
        return Response(queries.describe_list(made, tally.Tally(0, 0)), status=201, headers=headers)


def _list(request: Request, list_id: int) -> SendingList:
    """The account's list. Raises Http404 also for another account's, and for one that is deleted."""
    shown = SendingList.objects.exclude(status=ListStatus.DELETED)
    made = shown.filter(account=account_of(request), pk=list_id).first()
    if made is None:
        raise Http404
    return made


def _described(made: SendingList) -> Response:
    return Response(queries.describe_list(made, tally.of_lists([made.pk])[made.pk]))


class ListView(ApiView):
    """`GET` and `PATCH /lists/<id>`."""

    @schemas.one_list
    def get(self, request: Request, list_id: int) -> Response:
        return _described(_list(request, list_id))

    @schemas.change_list
    def patch(self, request: Request, list_id: int) -> Response:
        members = read_object(read_body(request._request))
        return _described(lists.change(account_of(request), int(list_id), members))


class ListContactsView(ApiView):
    """`GET /lists/<id>/contacts.csv`: the list's members."""

    @schemas.list_contacts_csv
    def get(self, request: Request, list_id: int) -> HttpResponseBase:
        made = _list(request, list_id)
        return StreamingHttpResponse(
            members_csv(made) if request.method == "GET" else (),  # nothing is read for a HEAD
            content_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="contacts-{made.pk}.csv"'},
        )
