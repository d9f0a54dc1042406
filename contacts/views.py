"""Contacts and lists: a view checks and answers."""

from typing import Any

from django.http import Http404
from rest_framework.request import Request
from rest_framework.response import Response

from billing import ledger
from contacts import phone, queries, schema, tally
from contacts.bulk import single
from contacts.memberships import unsubscribe
from contacts.models import ListContact, ListStatus, SendingList
from trackly.accounts.authentication import account_of
from trackly.api import json
from trackly.api.body import read_body, read_object
from trackly.api.errors import ApiError, invalid_parameter
from trackly.api.query import boolean, page_of
from trackly.api.views import ApiView


class ContactsView(ApiView):
    """`GET`, `POST` and `DELETE /contacts` (contract, "The rest")."""

    @schema.contacts
    def get(self, request: Request) -> Response:
        page, active = page_of(request._request), boolean(request._request, "active")
        lists = queries.visible_lists(account_of(request))
        if (number := request.GET.get("list_number")) is not None:
            if not phone.is_e164(number):
                raise invalid_parameter("list_number", "must be an E.164 number")
            lists = [made for made in lists if made.phone_number == number]
            if not lists:
                raise ApiError(404, "list_not_found", "No sending list with this list_number exists.")
        found, total = queries.members(lists, active=active, page=page)
        return Response({"contacts": found, "pagination": page.describe(total)})

    @schema.single
    def post(self, request: Request) -> Response:
        return single.create(account_of(request), request._request)

    @schema.unsubscribe
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
        return {name: json.loads(members.get(name, b"null")) for name in names}


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

    @schema.contact
    def get(self, request: Request, phone_number: str) -> Response:
        account = account_of(request)
        members = list(
            ListContact.objects.filter(contact__phone_number=phone_number, sending_list__account=account)
            .exclude(sending_list__status=ListStatus.DELETED)
            .select_related("contact", "sending_list")
            .order_by("-signup_date", "-id")
        )
        if not members:
            raise Http404
        entries = [queries.describe(member) for member in members]
        of_contact = ("phone_number", "carrier", "line_type", "timezone", "is_valid")
        body = {name: entries[0][name] for name in of_contact}
        body["memberships"] = [
            {name: value for name, value in entry.items() if name not in of_contact} for entry in entries
        ]
        finding = ledger.known(account.pk, [phone_number]).get(phone_number)
        body["validation"] = finding.as_json(micro_dollars=0) if finding else None
        return Response(body)


class ListsView(ApiView):
    """`GET /lists`."""

    @schema.lists
    def get(self, request: Request) -> Response:
        page, status = page_of(request._request), request.GET.get("status")
        shown = [ListStatus.ACTIVE, ListStatus.PAUSED]
        if status is not None and status not in shown:
            raise invalid_parameter("status", "must be active or paused")
        lists = account_of(request).sending_lists.filter(status__in=shown if status is None else [status])
        on_page = list(lists.order_by("pk")[page.slice])
        tallies = tally.of_lists(made.pk for made in on_page)
        described = [queries.describe_list(made, tallies[made.pk]) for made in on_page]
        return Response({"lists": described, "pagination": page.describe(lists.count())})


class ListView(ApiView):
    """`GET /lists/<id>`."""

    @schema.one_list
    def get(self, request: Request, list_id: int) -> Response:
        lists = SendingList.objects.exclude(status=ListStatus.DELETED)
        made = lists.filter(account=account_of(request), pk=list_id).first()
        if made is None:
            raise Http404
        return Response(queries.describe_list(made, tally.of_lists([made.pk])[made.pk]))
