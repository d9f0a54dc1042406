"""Results of paid validation and their charges: both or neither, once per account and number."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import Max
from django.utils import timezone

from accounts.models import Account
from billing import months
from billing.models import CachedUse, Disposition, EntryKind, LedgerEntry
from billing.validation import Finding
from core import codec, sql

MICRO_DOLLARS = 3_000
"""What a validation costs (contract: $0.003)."""

_FIELDS = "phone_number, disposition, valid, line_type, carrier, ported, on_dnc, country"

_KNOWN = f"""
SELECT {_FIELDS} FROM billing_validation
WHERE account_id = %(account)s AND phone_number = ANY(%(numbers)s)
"""

# The charge hangs on the row that was inserted: where the result was there already, nothing is charged.
_RECORD = f"""
WITH stored AS (
    INSERT INTO billing_validation (account_id, created_at, {_FIELDS})
    SELECT %(account)s, now(), {_FIELDS}
    FROM jsonb_to_recordset(%(rows)s::jsonb) AS input (
        phone_number text, disposition text, valid boolean, line_type text,
        carrier text, ported boolean, on_dnc boolean, country text
    )
    ORDER BY phone_number  -- every transaction takes locks in this order: no deadlock
    ON CONFLICT ON CONSTRAINT validation_once DO NOTHING
    RETURNING id, phone_number
), charged AS (
    INSERT INTO billing_ledgerentry (account_id, kind, validation_id, micro_dollars, reason, created_at)
    SELECT %(account)s, 'charge', id, %(price)s, '', now() FROM stored
)
SELECT phone_number FROM stored
"""


def known(account_id: int, numbers: Iterable[str]) -> dict[str, Finding]:
    """What this account has paid to know already, by number. One query, none for no numbers."""
    wanted = list(numbers)
    if not wanted:
        return {}
    found = sql.rows(_KNOWN, {"account": account_id, "numbers": wanted})
    return {row["phone_number"]: _finding(row) for row in found}


def record(account_id: int, findings: Mapping[str, Finding]) -> set[str]:
    """Store what was found and charge for it; returns the numbers that were charged.

    A number whose result another transaction stored meanwhile is not charged again. Call it inside the
    transaction that makes the findings take effect, before any contact is locked.
    """
    if not findings:
        return set()
    values = [{"phone_number": number, **asdict(finding)} for number, finding in findings.items()]
    parameters = {"account": account_id, "rows": codec.encode(values).decode(), "price": MICRO_DOLLARS}
    return {row["phone_number"] for row in sql.rows(_RECORD, parameters)}


def note_cached(account_id: int, count: int) -> None:
    """So many validations were answered from memory. Call it inside the transaction that answers them."""
    if count:
        month = months.month_of(timezone.now())
        CachedUse.objects.create(account_id=account_id, month=month, count=count)


def refund(entry: LedgerEntry, *, reason: str, by: User | None) -> LedgerEntry:
    """Take a charge back, whole. Raises ValueError for what is no charge, or has been refunded already."""
    if why := why_not_refundable(entry):
        raise ValueError(why)
    try:
        with transaction.atomic():
            return LedgerEntry.objects.create(
                account_id=entry.account_id,
                kind=EntryKind.REFUND,
                micro_dollars=-entry.micro_dollars,
                reverses=entry,
                reason=reason,
                created_by=by,
            )
    except IntegrityError as exc:  # refunded by another process, after the check
        raise ValueError(_REFUNDED) from exc


_REFUNDED = "This charge has been refunded already."


def why_not_refundable(entry: LedgerEntry) -> str:
    """Why an entry can't be refunded; empty: it can."""
    if entry.kind != EntryKind.CHARGE:
        return "Only a charge can be refunded."
    return _REFUNDED if hasattr(entry, "refund") else ""


def last_entry() -> int:
    """The id of the newest entry: those that are booked from now on have higher ones."""
    return LedgerEntry.objects.aggregate(last=Max("pk"))["last"] or 0


def adjust(account_id: int, micro_dollars: int, *, reason: str, by: User, after: int) -> LedgerEntry:
    """Book an adjustment. Raises ValueError if this user booked the same one after the entry `after`.

    That was the newest when the question was shown: the answer may arrive twice (a double click, a page sent
    again), and an entry can't be deleted. Adjustments of one account are booked one after the other.
    """
    with transaction.atomic():
        Account.objects.select_for_update(no_key=True).get(pk=account_id)
        entry = {"account_id": account_id, "micro_dollars": micro_dollars, "reason": reason, "created_by": by}
        if LedgerEntry.objects.filter(kind=EntryKind.ADJUSTMENT, pk__gt=after, **entry).exists():
            raise ValueError("This adjustment has been booked already.")
        return LedgerEntry.objects.create(kind=EntryKind.ADJUSTMENT, **entry)


def _finding(row: Mapping[str, Any]) -> Finding:
    fields = {name: row[name] for name in row if name != "phone_number"}
    return Finding(**{**fields, "disposition": Disposition(row["disposition"])})
