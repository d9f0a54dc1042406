"""A journey under a clock of the test's own."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from contacts.models import Contact, ListContact, SendingList
from journeys.engine.advance import advance
from journeys.engine.claim import claim
from journeys.enroll import Newcomer, enroll
from journeys.models import Enrollment, OutboundMessage, Visit
from tests.support import new_number

_AREAS = {"America/New_York": "+1212", "America/Phoenix": "+1602", "Europe/London": "+44207"}


def number_in(time_zone: str) -> str:
    """A new number whose area code is of the time zone; Los Angeles' for zones that are not known here."""
    return new_number().replace("+1415", _AREAS.get(time_zone, "+1415"))


def member(
    sending_list: SendingList,
    now: datetime,
    *,
    phone_number: str = "",
    time_zone: str = "America/New_York",
    can_receive: bool = True,
    **fields: Any,
) -> ListContact:
    """A new member of a list, with custom fields."""
    contact, _ = Contact.objects.get_or_create(
        phone_number=phone_number or number_in(time_zone),
        defaults={"time_zone": time_zone, "can_receive": can_receive},
    )
    return ListContact.objects.create(
        sending_list=sending_list, contact=contact, signup_date=now, custom_fields=fields, created_at=now
    )


def newcomer(joined: ListContact) -> Newcomer:
    return Newcomer(joined.pk, joined.contact_id, joined.sending_list_id, joined.custom_fields)


def enrolled(joined: ListContact, now: datetime) -> list[Enrollment]:
    """Enroll, as of `now`."""
    enroll([newcomer(joined)])
    found = Enrollment.objects.filter(list_contact=joined)
    found.update(enrolled_at=now, due_at=now)
    return list(found.order_by("journey_id"))


def moments(until: datetime) -> Iterator[datetime]:
    """When somebody is due, one moment after the other; looked for anew after each."""
    while True:
        due = Enrollment.objects.filter(status="active").order_by("due_at").first()
        if due is None or due.due_at > until:
            return
        yield due.due_at


def tick(now: datetime) -> int:
    """What the tick and its tasks do; how many went on."""
    return sum(advance(ids, now)[0] for ids in claim(now))


def run_until(until: datetime) -> None:
    """Let time pass."""
    for now in moments(until):
        assert tick(now)


def history(enrollment: Enrollment) -> list[tuple[str, str, datetime]]:
    visits = Visit.objects.filter(enrollment=enrollment).order_by("number")
    return [(visit.step, visit.note, visit.at) for visit in visits]


def texts(enrollment: Enrollment) -> list[tuple[str, datetime]]:
    messages = OutboundMessage.objects.filter(enrollment=enrollment).order_by("number")
    return [(message.text, message.created_at) for message in messages]
