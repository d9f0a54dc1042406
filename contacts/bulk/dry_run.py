"""`?dry_run=true`: the way of a batch to the last statement, and then the transaction is rolled back."""

from typing import Any

from django.db import transaction
from django.utils import timezone

from billing.gate import require_billable
from contacts.bulk import checks
from contacts.bulk.accept import Batch
from contacts.bulk.entries import find_lists, read
from contacts.bulk.process import report
from contacts.bulk.settle import summarize
from contacts.bulk.write import write
from trackly import sql
from trackly.accounts.models import Account


def dry_run(account: Account, batch: Batch) -> dict[str, Any]:
    """The summary of what would happen. Nobody is asked over the network, nothing is written or charged.

    What is known of a number already is used; of all others it is assumed that look-ups would accept them.
    Raises 402 as acceptance would.
    """
    if batch.asks_for_validation:
        require_billable(account)

    def rehearse() -> dict[str, Any]:
        sql.prefer_indexes()
        entries = [read(index, raw) for index, raw in batch.items]
        find_lists(account.pk, entries)
        found = checks.known(account.pk, account.rejects_voip, entries)
        checks.assume(found)
        checks.reject_invalid(entries, found, charged=set())
        counts, opted_out = write(entries, found, accepted_at=timezone.now())
        summary = summarize([report(entries, counts, opted_out)])
        transaction.set_rollback(True)
        return summary

    return {**sql.in_transaction(rehearse), "dry_run": True}
