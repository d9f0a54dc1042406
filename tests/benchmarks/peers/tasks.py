"""The literal shape: a task per contact, with ORM `get_or_create` in it, and a chord's body that adds up."""

from datetime import datetime
from functools import cache
from typing import Any

from django.db import transaction
from django.utils import timezone

from contacts import payload
from contacts.carriers import offline_facts
from contacts.evidence import NONE, first_of
from contacts.fields import EVIDENCE
from contacts.models import Contact, ListContact
from contacts.payload import ContactError
from core import codec
from ingestion.models import BulkJob, JobStatus
from journeys.models import Enrollment
from tests.benchmarks.peers.app import app


@app.task
def one_contact(
    index: int, sent: dict[str, Any], list_id: int | None, journeys: list[tuple[int, int]], accepted_at: str
) -> list[Any]:
    """The whole way of a contact: [created, joined, enrollments], or the entry of `errors`."""
    try:
        contact = payload.parse(codec.dumps(sent).encode(), sent)
    except ContactError as error:
        return [{"index": index, "phone_number": sent.get("phone_number"), "code": error.code}]
    if list_id is None:
        return [{"index": index, "phone_number": contact.phone_number, "code": "list_not_found"}]
    facts = cache(lambda: offline_facts(contact.number))  # only what is new is looked up
    found: dict[str, Any] = {
        "carrier": lambda: facts().carrier,
        "line_type": lambda: facts().line_type,
        "time_zone": lambda: facts().time_zone,
        "can_receive": lambda: facts().can_receive,
        "verified_at": timezone.now,
    }
    with transaction.atomic():
        row, is_new = Contact.objects.get_or_create(phone_number=contact.phone_number, defaults=found)
        member, joined = ListContact.objects.get_or_create(
            contact=row,
            sending_list_id=list_id,
            defaults={
                "signup_date": contact.signup_date or datetime.fromisoformat(accepted_at),
                **dict(zip(EVIDENCE, first_of(NONE, contact.evidence), strict=True)),
                "custom_fields": contact.custom_fields,
            },
        )
        enrolled = 0
        for journey_id, version_id in journeys if contact.use_journeys else ():
            _, enrolls = Enrollment.objects.get_or_create(
                journey_id=journey_id, list_contact=member, defaults={"version_id": version_id}
            )
            enrolled += enrolls
    return [is_new, joined, enrolled]


@app.task(ignore_result=True)
def add_up(outcomes: list[list[Any]], job_id: str) -> None:
    """The chord's body: the summary."""
    done = [outcome for outcome in outcomes if len(outcome) > 1]
    errors = [outcome[0] for outcome in outcomes if len(outcome) == 1]
    created, joined, enrolled = (sum(column) for column in zip(*done, strict=True))
    summary = {
        "success_count": len(done),
        "error_count": len(errors),
        "errors": errors,
        "contacts_created": created,
        "list_contacts_created": joined,
        "journeys_enrolled": enrolled,
    }
    BulkJob.objects.filter(pk=job_id).update(
        status=JobStatus.COMPLETED,
        processed=len(outcomes),
        success_count=len(done),
        error_count=len(errors),
        completed_at=timezone.now(),
        summary=codec.dumps(summary),
    )
