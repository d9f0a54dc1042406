"""Whether a number may be texted: free carrier facts first, then paid validation (contract)."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta

from django.conf import settings
from django.utils import timezone

from billing import gate, ledger, validation
from billing.validation import Finding
from contacts import carriers, rows
from contacts.carriers import Facts
from contacts.models import LineType
from contacts.payload import ContactError
from core.http.codes import NOT_CHARGED
from ingestion.pipeline import fields
from ingestion.pipeline.entries import Entry, alive

PROVIDER_ERROR = "provider_error"
"""No answer from the validation provider; such a contact can be run again (contract, part two, "Reading")."""
RUN_AGAIN = frozenset({PROVIDER_ERROR, *map(str, NOT_CHARGED)})
"""What a contact failed with that was not paid for and may be another time: a retry runs it again."""


@dataclass
class Findings:
    """What is known of a slice's numbers, by number; new facts and validations are still to be written."""

    known_ids: dict[str, int] = field(default_factory=dict)
    """Contacts that exist."""
    facts: dict[str, Facts] = field(default_factory=dict)
    """Everything known or just found, or the defaults where no source answered."""
    fresh: set[str] = field(default_factory=set)
    """The numbers whose facts are not in the database."""
    validations: dict[str, Finding] = field(default_factory=dict)
    """Paid for: before, or now."""
    new_validations: dict[str, Finding] = field(default_factory=dict)
    """Those found just now, to be stored and charged."""
    provider_failed: set[str] = field(default_factory=set)
    not_charged: dict[str, ContactError] = field(default_factory=dict)
    """Numbers not validated because nothing may be charged to the account any more, and why."""
    unanswered_carrier: set[str] = field(default_factory=set)
    """Numbers that a network source must be asked for."""
    unanswered_validation: set[str] = field(default_factory=set)


def known(account_id: int, rejects_voip: bool, entries: Iterable[Entry]) -> Findings:  # noqa: FBT001
    """Everything that can be said without a network. Fails the entries whose number is not sendable."""
    found = Findings()
    numbers = {contact.phone_number: contact for _, contact in alive(entries)}
    good_since = timezone.now() - timedelta(days=settings.TRACKLY_CARRIER_TTL)
    found.known_ids, found.facts = rows.known(numbers, good_since)
    unknown = numbers.keys() - found.facts.keys()
    slow = carriers.on_network(unknown)
    for phone_number in unknown - slow:
        found.facts[phone_number] = carriers.offline_facts(numbers[phone_number].number)
    _know_carriers(slow, found)
    found.fresh = unknown - found.unanswered_carrier
    _reject_what_is_known(account_id, entries, found, rejects_voip=rejects_voip)
    return found


def known_to_account(account_id: int, rejects_voip: bool, entries: Iterable[Entry]) -> Findings:  # noqa: FBT001
    """`known`, as far as the account itself may know it: for a dry run, which must not tell what others know.

    Only the numbers that are or were on a list of the account's count as contacts. What could only be looked
    up over the network is assumed to be in order.
    """
    found = Findings()
    numbers = {contact.phone_number: contact for _, contact in alive(entries)}
    good_since = timezone.now() - timedelta(days=settings.TRACKLY_CARRIER_TTL)
    found.known_ids, found.facts = rows.known_to_account(account_id, numbers, good_since)
    unknown = numbers.keys() - found.facts.keys()
    slow = carriers.on_network(unknown)
    for phone_number in unknown:
        is_offline = phone_number not in slow
        found.facts[phone_number] = (
            carriers.offline_facts(numbers[phone_number].number) if is_offline else carriers.UNVERIFIED
        )
    _reject_what_is_known(account_id, entries, found, rejects_voip=rejects_voip)
    return found


def _reject_what_is_known(
    account_id: int, entries: Iterable[Entry], found: Findings, *, rejects_voip: bool
) -> None:
    """Fail the entries that need no further answer for it, and see which of the others ask for validation."""
    reject_unsendable(entries, found, rejects_voip=rejects_voip)
    fields.reject_overflow(entries, found.known_ids)
    asked = {contact.phone_number for _, contact in alive(entries) if contact.use_validation}
    found.validations = ledger.known(account_id, asked)
    found.unanswered_validation = asked - found.validations.keys()


def _know_carriers(phone_numbers: set[str], found: Findings) -> None:
    """What providers were asked before: also about numbers that were rejected, and so are no contacts."""
    known = carriers.known(phone_numbers)
    found.facts.update(known.answers)
    found.facts.update(dict.fromkeys(known.failed, carriers.UNVERIFIED))
    found.unanswered_carrier = phone_numbers - found.facts.keys()


def look_up(
    account_id: int,
    entries: Iterable[Entry],
    found: Findings,
    *,
    rejects_voip: bool,
    keep: Callable[[], None],
) -> None:
    """Ask the network for what is missing: all carriers at once, then all validations of what passed.

    `keep` is called every few seconds meanwhile.
    """
    facts = carriers.look_up(found.unanswered_carrier, keep=keep)
    for phone_number in found.unanswered_carrier:
        found.facts[phone_number] = facts.get(phone_number, carriers.UNVERIFIED)
    found.fresh |= found.unanswered_carrier
    found.unanswered_carrier = set()
    reject_unsendable(entries, found, rejects_voip=rejects_voip)
    still = {contact.phone_number for _, contact in alive(entries)} & found.unanswered_validation
    # Asked here, not only at acceptance: the batch may have waited for hours.
    if still and (why := gate.why_not_charged(account_id)):
        found.not_charged = dict.fromkeys(still, ContactError(*why))
        still = set()
    found.new_validations = validation.look_up(account_id, still, keep=keep)
    found.provider_failed = still - found.new_validations.keys()
    found.unanswered_validation = set()


def reject_unsendable(entries: Iterable[Entry], found: Findings, *, rejects_voip: bool) -> None:
    """Fail the entries whose number the carrier's facts rule out (contract, "Carrier validation")."""
    for entry, contact in alive(entries):
        facts = found.facts.get(contact.phone_number)
        if facts is None:
            continue
        if not facts.can_receive:
            entry.error = ContactError(
                "not_sendable",
                "Phone number failed carrier validation",
                reason=carriers.reason_of(facts, contact.number),
            )
        elif facts.line_type == LineType.VOIP and rejects_voip:
            entry.error = ContactError(
                "not_sendable", "Phone number is a rejected VOIP number", reason="voip"
            )


def reject_invalid(entries: Iterable[Entry], found: Findings, charged: set[str]) -> None:
    """Fail the entries that paid validation rules out, or that it gave no answer for.

    `charged`: the numbers that were paid for with this slice; the first entry of each bears the cost.
    """
    unpaid = set(charged)
    for entry, contact in alive(entries):
        if not contact.use_validation:
            continue
        if contact.phone_number in found.provider_failed:
            entry.error = ContactError(PROVIDER_ERROR, "The validation provider could not be reached")
            continue
        if not_charged := found.not_charged.get(contact.phone_number):
            entry.error = not_charged
            continue
        finding = found.validations.get(contact.phone_number)
        if finding is None:  # a dry run asks no provider
            continue
        cost = ledger.MICRO_DOLLARS if contact.phone_number in unpaid else 0
        unpaid.discard(contact.phone_number)
        entry.validation = finding.as_json(micro_dollars=cost)
        if finding.rejects:
            message = f"Phone number failed validation: {finding.disposition}"
            entry.error = ContactError("validation_failed", message, validation=entry.validation)


def need_network(found: Findings) -> set[str]:
    """The numbers about which something must be asked for on the network."""
    return found.unanswered_carrier | found.unanswered_validation
