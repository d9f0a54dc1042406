"""A worker that dies at any line of a paid validation: no charge without a result, none twice."""

import json

import pytest

from billing.models import BillingConfig, LedgerEntry, PaymentMethod, Validation
from contacts.models import ListContact
from devstack.sandbox.server import Stub
from ingestion.batch import read_batch
from ingestion.intake.accept import accept
from lookups.models import Lookup
from tests.billing.conftest import STRIDE, Run
from tests.support import contact, new_account, new_numbers

SIGKILL = -9


@pytest.mark.job("work")
def test_a_worker_killed_before_any_line_charges_each_number_once(killer: Run, stub: Stub) -> None:
    line, code, asked_twice = 0, SIGKILL, 0
    while code == SIGKILL:
        line += STRIDE
        account, _ = new_account()
        config = BillingConfig.objects.create(account=account)
        PaymentMethod.objects.create(billing=config, brand="visa", last_four="4242")
        numbers = new_numbers(2)
        batch = [contact(number, use_validation=True) for number in [*numbers, numbers[0]]]
        job, _ = accept(account, read_batch({"contacts": json.dumps(batch).encode()}))
        [code] = killer(kill_at=line, job=str(job.pk))
        # Whatever has been committed so far is whole.
        of_results = set(Validation.objects.filter(account=account).values_list("pk", flat=True))
        of_charges = set(LedgerEntry.objects.filter(account=account).values_list("validation", flat=True))
        assert of_results == of_charges
        stored = set(Lookup.objects.filter(answered_at__isnull=False).values_list("phone_number", flat=True))
        assert killer(job=str(job.pk)) == [0]
        job.refresh_from_db()
        assert (job.status, job.success_count) == ("completed", 3)
        charges = LedgerEntry.objects.filter(account=account)
        assert sorted(charges.values_list("validation__phone_number", flat=True)) == sorted(numbers)
        assert ListContact.objects.filter(sending_list__account=account).count() == 2
        for number in numbers:
            asked = stub.asked("telnyx", number)
            assert asked == 1 or (asked == 2 and number not in stored)
            asked_twice += asked == 2
    assert code == 0
    assert line > 100, "it runs more lines than that"
    assert asked_twice, "where the answer had come and was not stored yet"
