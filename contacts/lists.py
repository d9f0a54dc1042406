"""A sending list's end, and its return (contract, "Errors": a deleted list is `list_not_found`)."""

from collections.abc import Callable

from django.db import IntegrityError, transaction

from contacts.models import ListStatus, SendingList

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
