"""Sending lists: made and changed by their account (contract, part two, "Reading"), deleted and restored."""

from collections.abc import Callable, Collection
from typing import Any

from django.db import IntegrityError, transaction
from django.http import Http404
from psycopg import errors

from accounts.models import Account
from contacts import phone
from contacts.models import MAX_NAME_CHARACTERS, ListStatus, SendingList
from core import codec
from core.codec import storable
from core.http.errors import ApiError

_NAMES = ("brand_name", "list_name")
_LONGEST_ECHO = 100
"""Characters of an unknown field's name that are said back."""


def create(account: Account, members: dict[str, bytes]) -> SendingList:
    """Make a list of a request's JSON object: `phone_number`; `brand_name`, `list_name`, `status` if given.

    Raises 400 `missing_phone_number`, `invalid_phone` and `invalid_field`, 409 `list_exists` where the
    account has a list with the number that is not deleted.
    """
    given = _read(members, {"phone_number", *_NAMES, "status"})
    phone_number = given.get("phone_number")
    if phone_number is None or phone_number == "":
        raise ApiError(400, "missing_phone_number", "phone_number is missing.")
    if not isinstance(phone_number, str) or not phone.is_e164(phone_number):
        raise ApiError(400, "invalid_phone", "phone_number is not a valid E.164 number.")
    _check(given, (ListStatus.ACTIVE, ListStatus.PAUSED))
    try:
        with transaction.atomic():
            return SendingList.objects.create(account=account, **given)
    except IntegrityError as exc:
        cause = exc.__cause__
        if not isinstance(cause, errors.UniqueViolation):
            raise
        raise _exists(account, phone_number) from exc


def _exists(account: Account, phone_number: str) -> ApiError:
    lists = account.sending_lists.exclude(status=ListStatus.DELETED)
    found = lists.filter(phone_number=phone_number).values_list("pk", flat=True).first()
    more: dict[str, Any] = {} if found is None else {"list_id": found}  # None: deleted since
    return ApiError(409, "list_exists", "The account has a list with this phone_number already.", **more)


def change(account: Account, list_id: int, members: dict[str, bytes]) -> SendingList:
    """Change what a request's JSON object names: `brand_name`, `list_name`, `status` (also to `deleted`).

    What is not named stays. Raises Http404 for what is not the account's, or deleted; 400 `invalid_field`.
    """
    given = _read(members, {*_NAMES, "status"})
    _check(given, ListStatus.values)
    with transaction.atomic():
        lists = SendingList.objects.select_for_update(no_key=True).exclude(status=ListStatus.DELETED)
        made = lists.filter(account=account, pk=list_id).first()
        if made is None:
            raise Http404
        for name, value in given.items():
            setattr(made, name, value)
        made.save(update_fields=list(given))
    return made


def _read(members: dict[str, bytes], known: Collection[str]) -> dict[str, Any]:
    """The fields of the object. Raises 400 `invalid_field` for one that is not known: it would do nothing."""
    for name in members:
        if name not in known:
            shown = name[:_LONGEST_ECHO].encode("utf-8", "replace").decode()
            if name == "phone_number":
                raise _invalid(shown, "can't be changed; create another list")
            raise _invalid(shown, f"is an unknown field; known here: {', '.join(sorted(known))}")
    return {name: codec.loads(value) for name, value in members.items()}


def _check(given: dict[str, Any], statuses: Collection[str]) -> None:
    for name in given.keys() & _NAMES:
        text = given[name]
        if not isinstance(text, str) or len(text) > MAX_NAME_CHARACTERS or not storable(text):
            raise _invalid(name, f"must be storable text of up to {MAX_NAME_CHARACTERS} characters")
    if "status" in given and given["status"] not in list(statuses):
        raise _invalid("status", f"must be one of {', '.join(statuses)}")


def _invalid(name: str, message: str) -> ApiError:
    return ApiError(400, "invalid_field", f"{name} {message}.", field=name)


Uses = Callable[[SendingList], list[str]]
_uses: dict[str, Uses] = {}


class NumberTakenError(ValueError):
    """The list's number has become another list meanwhile."""


def register_uses(label: str, uses: Uses) -> None:
    """An app that refers to lists says so: `uses` gives the names of what refers to one, for people."""
    _uses[label] = uses


def uses_of(sending_list: SendingList) -> dict[str, list[str]]:
    """What refers to a list, by label: what its deletion means to other apps."""
    return {label: uses(sending_list) for label, uses in _uses.items()}


def delete(sending_list: SendingList) -> None:
    """Make a list one that the API no longer finds. One statement, however many members it has: they stay."""
    SendingList.objects.filter(pk=sending_list.pk).update(status=ListStatus.DELETED)


def restore(sending_list: SendingList) -> None:
    """Make a deleted list active again. Raises NumberTakenError if its number is another list now."""
    try:
        with transaction.atomic():
            SendingList.objects.filter(pk=sending_list.pk, status=ListStatus.DELETED).update(
                status=ListStatus.ACTIVE
            )
    except IntegrityError as exc:
        raise NumberTakenError(f"{sending_list.phone_number} is the number of another list now.") from exc
