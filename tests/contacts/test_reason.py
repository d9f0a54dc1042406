"""Why a number is not sendable, wherever its facts come from and however long they have been known."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from django.utils import timezone

from contacts import carriers, phone, rows
from contacts.carriers import Facts
from contacts.facts import facts_of
from contacts.models import Contact, LineType
from devstack.sandbox.server import Stub
from lookups.line import NOT_SENDABLE_REASONS, WITHOUT_TEXT, Line, LineKind
from lookups.models import Kind, Lookup
from tests.bulk.test_process import run
from tests.support import contact, new_account, new_number

LANDLINE, TOLL_FREE, MOBILE = "+442079460958", "+18005551234", "+447400123456"


def reasons(summary: dict[str, Any]) -> list[str]:
    return [entry["reason"] for entry in summary["errors"] if entry["code"] == "not_sendable"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (Line(), ""),
        (Line(kind=LineKind.MOBILE, in_service=True), ""),
        (Line(kind=LineKind.VOIP), ""),  # the account decides
        (Line(kind=LineKind.PERSONAL), ""),
        (Line(kind=LineKind.LANDLINE), "landline"),
        (Line(kind=LineKind.PREMIUM), "premium_rate"),
        (Line(kind=LineKind.TOLL_FREE), "toll_free"),
        (Line(kind=LineKind.SHARED_COST), "shared_cost"),
        (Line(kind=LineKind.PAGER), "pager"),
        (Line(kind=LineKind.UAN), "uan"),
        (Line(kind=LineKind.VOICEMAIL), "voicemail"),
        (Line(in_service=False), "not_in_service"),
        (Line(kind=LineKind.LANDLINE, in_service=False), "not_in_service"),
        (Line(valid=False), "not_in_service"),
    ],
)
def test_what_a_provider_says_has_a_reason(line: Line, reason: str) -> None:
    facts = facts_of(line, time_zone="")
    assert (facts.reason, facts.can_receive, line.takes_text) == (reason, not reason, not reason)


def test_every_reason_is_described() -> None:
    found = {facts_of(Line(kind=kind), time_zone="").reason for kind in WITHOUT_TEXT}
    assert found | {"not_in_service", "voip"} == set(NOT_SENDABLE_REASONS)
    assert "" not in found


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (LANDLINE, "landline"),
        (TOLL_FREE, "toll_free"),
        ("+19002345678", "premium_rate"),
        ("+49180112345", "shared_cost"),
        ("+447640123456", "pager"),
        ("+445512345678", "uan"),
        (MOBILE, ""),
    ],
)
def test_the_metadata_alone_gives_a_reason(number: str, reason: str) -> None:
    found = phone.parse(number)
    assert found is not None
    assert carriers.offline_facts(found).reason == reason


@pytest.mark.django_db
def test_a_reason_is_kept_with_the_contact_and_said_again() -> None:
    account, _ = new_account()
    number = new_number()
    rows.insert({number: Facts(can_receive=False, reason="pager")})
    assert reasons(run(account, contact(number))) == ["pager"]
    rows.verify({number: Facts(can_receive=False, reason="not_in_service")})
    assert reasons(run(account, contact(number))) == ["not_in_service"]
    rows.verify({number: Facts()})
    assert run(account, contact(number))["success_count"] == 1
    assert Contact.objects.get().not_sendable_reason == ""


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("number", "line_type", "reason"),
    [
        (MOBILE, LineType.LANDLINE, "landline"),
        (MOBILE, LineType.CELL_PHONE, "not_in_service"),
        (MOBILE, LineType.VOIP, "not_in_service"),
        (MOBILE, LineType.UNKNOWN, "not_in_service"),
        (TOLL_FREE, LineType.UNKNOWN, "toll_free"),
        (LANDLINE, LineType.CELL_PHONE, "not_in_service"),
    ],
)
def test_facts_that_were_stored_without_a_reason_are_given_one(
    number: str, line_type: LineType, reason: str
) -> None:
    account, _ = new_account()
    Contact.objects.create(
        phone_number=number, line_type=line_type, can_receive=False, verified_at=timezone.now()
    )
    assert reasons(run(account, contact(number))) == [reason]


@pytest.mark.django_db
def test_an_answer_that_was_kept_without_a_reason_is_given_one(stub: Stub) -> None:
    account, _ = new_account()
    facts = msgspec.to_builtins(Facts(line_type=LineType.LANDLINE, can_receive=False))
    del facts["reason"]
    now = timezone.now() - timedelta(days=1)
    Lookup.objects.create(kind=Kind.CARRIER, phone_number="+12025550102", answer=facts, answered_at=now)
    assert reasons(run(account, contact("+12025550102"), contact("+12025550101"))) == ["landline", "voip"]
    assert stub.asked("twilio", "+12025550102") == 0
