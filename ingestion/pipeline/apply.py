"""The rows that a slice makes: contacts, memberships, enrollments. A fixed number of statements, set by set.

All of it happens in the slice's transaction. Contacts are inserted and then locked in the order of their
numbers (contacts.rows); a transaction that writes a membership holds its contact's lock. So what is read
under the locks stays true.
"""

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from contacts import evidence, payload, rows
from contacts.models import SignupMethod
from core import codec, sql
from ingestion.pipeline import fields
from ingestion.pipeline.entries import Entry, Outcome, Predecessors, alive
from ingestion.pipeline.screening import Findings
from journeys.enroll import Newcomer, enroll, would_enroll

# `+ 0`: found by contact, whatever the planner believes of a list's size; it would read all of a list that
# was small when it was last analysed.
_READ_MEMBERSHIPS = evidence.statement("""
SELECT id, contact_id, sending_list_id, custom_fields::text, unsubscribed_at, {selected}
FROM contacts_listcontact
WHERE contact_id = ANY(%(contacts)s::bigint[]) AND sending_list_id + 0 = ANY(%(lists)s::bigint[])
""")

_READ_OPT_OUTS = """
SELECT contact_id, sending_list_id, unsubscribed_at FROM contacts_listcontact
WHERE contact_id = ANY(%(contacts)s::bigint[]) AND sending_list_id + 0 = ANY(%(lists)s::bigint[])
    AND unsubscribed_at IS NOT NULL
"""

_INSERT_MEMBERSHIPS = evidence.statement("""
INSERT INTO contacts_listcontact (
    sending_list_id, contact_id, signup_date, signup_method, {columns}, custom_fields,
    unsubscribed_at, created_at, updated_at
)
SELECT list, contact, signup_date, %(method)s, {columns}, custom_fields, opted_out_at, now(), now()
FROM jsonb_to_recordset(%(rows)s::jsonb) AS input (
    list bigint, contact bigint, signup_date timestamptz, {typed}, custom_fields jsonb,
    opted_out_at timestamptz
)
RETURNING id, sending_list_id, contact_id
""")

_UPDATE_MEMBERSHIPS = evidence.statement("""
UPDATE contacts_listcontact AS membership
SET ({columns}) = ROW ({of_input}), custom_fields = input.custom_fields, updated_at = now()
FROM jsonb_to_recordset(%(rows)s::jsonb) AS input (id bigint, {typed}, custom_fields jsonb)
WHERE membership.id = input.id
""")


@dataclass
class Counts:
    contacts_created: int = 0
    list_contacts_created: int = 0
    journeys_enrolled: int = 0


class _Membership(msgspec.Struct, gc=False):
    """A contact on a list, as it will stand after the slice."""

    contact_id: int
    list_id: int
    id: int = 0
    signup_date: datetime | None = None
    evidence: tuple[Any, ...] = ()
    custom_fields: dict[str, Any] | None = None
    opted_out_at: datetime | None = None
    exists: bool = False
    is_new: bool = False
    is_changed: bool = False

    @property
    def opted_out(self) -> bool:
        return self.opted_out_at is not None


def write(
    entries: Sequence[Entry], found: Findings, *, accepted_at: datetime, predecessors: Predecessors
) -> tuple[Counts, dict[str, int]]:
    """Apply the entries that have not failed, in order; sets what became of each.

    `predecessors`: what `find_lists` returned. Returns the counts, and how many memberships of each list (by
    id) had opted out. Call it in a transaction.
    """
    counts = Counts()
    contact_ids, new_numbers = _write_contacts(entries, found)
    counts.contacts_created = len(new_numbers)
    members = _read_memberships(alive(entries), contact_ids, new_numbers, predecessors)
    wants_journeys = _apply_all(entries, members, accepted_at)
    counts.list_contacts_created = _write_memberships(members.values())
    for entry, contact in alive(entries):
        membership = members[entry.list_id, contact.phone_number]
        entry.contact_id, entry.list_contact_id = membership.contact_id, membership.id
    counts.journeys_enrolled = _enroll(wants_journeys)
    return counts, _opted_out(members.values())


def forecast(
    entries: Sequence[Entry], found: Findings, *, accepted_at: datetime, predecessors: Predecessors
) -> tuple[Counts, dict[str, int]]:
    """What `write` would do and return, without writing or locking; numbers unknown to `found` count as new.

    What does not exist yet has a number below zero for an id.
    """
    wanted = sorted({contact.phone_number for _, contact in alive(entries)})
    contact_ids = {number: found.known_ids.get(number, -place) for place, number in enumerate(wanted, 1)}
    new_numbers = contact_ids.keys() - found.known_ids.keys()
    members = _read_memberships(alive(entries), contact_ids, new_numbers, predecessors)
    wants_journeys = _apply_all(entries, members, accepted_at)
    new = [membership for membership in members.values() if membership.is_new]
    for place, membership in enumerate(new, 1):
        membership.id = -place
    active: dict[int, set[int]] = {}
    for membership in members.values():
        if membership.exists and not membership.opted_out:
            active.setdefault(membership.contact_id, set()).add(membership.list_id)
    return Counts(
        contacts_created=len({membership.contact_id for membership in new if membership.contact_id < 0}),
        list_contacts_created=len(new),
        journeys_enrolled=would_enroll(_newcomers(wants_journeys), active),
    ), _opted_out(members.values())


def _apply_all(
    entries: Sequence[Entry], members: Mapping[tuple[int, str], _Membership], accepted_at: datetime
) -> list[tuple[Entry, _Membership]]:
    """Apply the entries in order; those that ask for journeys, each with its membership."""
    wants_journeys: list[tuple[Entry, _Membership]] = []
    for entry, contact in alive(entries):
        membership = members[entry.list_id, contact.phone_number]
        was_member = membership.exists
        _apply(entry, contact, membership, accepted_at)
        skipped = was_member and contact.skip_journey_if_exists
        if contact.use_journeys and entry.error is None and not membership.opted_out and not skipped:
            wants_journeys.append((entry, membership))
    return wants_journeys


def _write_contacts(entries: Sequence[Entry], found: Findings) -> tuple[dict[str, int], set[str]]:
    """Insert what is new, lock the rest, store new facts; ids by number, and the numbers inserted here."""
    wanted = sorted({contact.phone_number for _, contact in alive(entries)})
    new = [number for number in wanted if number not in found.known_ids]
    ids: dict[str, int] = {}
    if new:
        ids = rows.insert({number: found.facts[number] for number in new})
    inserted = set(ids)
    learned = {
        number: found.facts[number]
        for number in (found.fresh & (found.known_ids.keys() | set(wanted))) - inserted
        if found.facts[number].verified
    }
    if rest := sorted((set(wanted) - inserted) | learned.keys()):
        ids.update(rows.lock(rest))
    if learned:
        rows.verify(learned)
    return ids, inserted


def _read_memberships(
    living: Sequence[tuple[Entry, payload.Contact]],
    contact_ids: Mapping[str, int],
    new_numbers: AbstractSet[str],
    predecessors: Predecessors,
) -> dict[tuple[int, str], _Membership]:
    """A membership for each list and number of the entries: as it stands, or one that does not exist yet."""
    members = {
        (entry.list_id, contact.phone_number): _Membership(contact_ids[contact.phone_number], entry.list_id)
        for entry, contact in living
    }
    by_ids = {
        (membership.list_id, membership.contact_id): membership
        for (_, number), membership in members.items()
        if number not in new_numbers
    }
    if by_ids:
        lists, contacts = (sql.array(set(ids)) for ids in zip(*by_ids, strict=True))
        found = sql.tuples(_READ_MEMBERSHIPS, {"lists": lists, "contacts": contacts})
        for member_id, contact_id, list_id, custom_fields, opted_out_at, *of_consent in found:
            membership = by_ids.get((list_id, contact_id))
            if membership is not None:
                membership.id, membership.exists = member_id, True
                membership.evidence = tuple(of_consent)
                membership.custom_fields = payload.decode(custom_fields.encode())
                membership.opted_out_at = opted_out_at
        _inherit_opt_outs(by_ids, predecessors)
    return members


def _inherit_opt_outs(members: Mapping[tuple[int, int], _Membership], predecessors: Predecessors) -> None:
    """Opt out what is about to be made on a list whose number was another list's, and was opted out of there.

    An opt-out belongs to the person and the sending number (contract, "Made precise").
    """
    successors = {before: made for made, befores in predecessors.items() for before in befores}
    contacts = {
        contact_id
        for (list_id, contact_id), member in members.items()
        if list_id in predecessors and not member.exists
    }
    if not contacts:
        return
    parameters = {"contacts": sql.array(contacts), "lists": sql.array(successors)}
    for contact_id, before, at in sql.tuples(_READ_OPT_OUTS, parameters):
        membership = members.get((successors[before], contact_id))
        if membership is not None and not membership.exists:
            membership.opted_out_at = max(at, membership.opted_out_at or at)


def _apply(entry: Entry, contact: payload.Contact, membership: _Membership, accepted_at: datetime) -> None:
    """What the contract's "What happens to an accepted contact" says, for one entry."""
    if not membership.exists:
        membership.exists = membership.is_new = True
        membership.signup_date = contact.signup_date or accepted_at
        membership.evidence = evidence.first_of(evidence.NONE, contact.evidence)
        membership.custom_fields = contact.custom_fields
        entry.outcome = Outcome.CREATED
        return
    stored = fields.canonical(membership.custom_fields or {})
    merged = fields.merged(membership.custom_fields, contact)
    encoded = fields.canonical(merged)
    if encoded != stored and (error := fields.overflow(merged, encoded)):
        entry.error = error
        return
    before = (membership.evidence, stored)
    membership.evidence = evidence.first_of(membership.evidence, contact.evidence)
    membership.custom_fields = merged
    after = (membership.evidence, encoded)
    entry.outcome = Outcome.UNCHANGED if before == after else Outcome.UPDATED
    membership.is_changed = membership.is_changed or before != after


_NewRow = evidence.row("NewRow", "list", "contact", "signup_date", "custom_fields", "opted_out_at")
_ChangedRow = evidence.row("ChangedRow", "id", "custom_fields")


def _write_memberships(members: Iterable[_Membership]) -> int:
    """Insert the new ones (sets their ids), update the changed ones; returns how many are new."""
    changed = [
        _ChangedRow(member.id, member.custom_fields, *member.evidence)
        for member in members
        if member.is_changed and not member.is_new
    ]
    if changed:
        sql.rows(_UPDATE_MEMBERSHIPS, {"rows": codec.encode(changed).decode()})
    new = {(member.list_id, member.contact_id): member for member in members if member.is_new}
    if new:
        made = [
            _NewRow(
                member.list_id,
                member.contact_id,
                member.signup_date,
                member.custom_fields,
                member.opted_out_at,
                *member.evidence,
            )
            for member in new.values()
        ]
        parameters = {"rows": codec.encode(made).decode(), "method": SignupMethod.API}
        for member_id, *place in sql.tuples(_INSERT_MEMBERSHIPS, parameters):
            new[tuple(place)].id = member_id
    return len(new)


def _enroll(wants: Sequence[tuple[Entry, _Membership]]) -> int:
    """Enroll; the first entry that asked for a membership's enrollments is the one that they count for."""
    first: dict[int, Entry] = {}
    for entry, membership in wants:
        first.setdefault(membership.id, entry)
    made = enroll(_newcomers(wants))
    for _, list_contact_id in made:
        first[list_contact_id].enrolled += 1
    return len(made)


def _newcomers(wants: Sequence[tuple[Entry, _Membership]]) -> list[Newcomer]:
    newcomers = {
        membership.id: Newcomer(
            membership.id, membership.contact_id, membership.list_id, membership.custom_fields or {}
        )
        for _, membership in wants
    }
    return list(newcomers.values())


def _opted_out(members: Iterable[_Membership]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for membership in members:
        if membership.opted_out:
            counts[str(membership.list_id)] = counts.get(str(membership.list_id), 0) + 1
    return counts
