"""The outbox: messages leave it once each, by the gateway that TRACKLY_MESSAGES names.

A row is marked as being sent before the gateway is asked. Right before its message is posted, the sender asks
the database whether the row is still its own, and has a few seconds from then (_Permits): a process that
stood still meanwhile posts nothing. Where no answer comes (time-out, reset, the worker died) the gateway may
have the message: the row is *unconfirmed* and not sent again, but looked for in the gateway's own list; only
if it is certain that it is not there, minutes later, it is sent another time. What stays in doubt for a day
has failed.

Every time here is the database's: the clocks of the machines need not agree.
"""

import asyncio
import queue
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import structlog
from django.conf import settings
from django.db.models import Q, QuerySet

from contacts import rows
from core import codec, sql
from core.outbound import Failure, OutboundError, Permit, RateLimitTimeout, boot_clock, caller, in_ticks
from core.outbound.breaker import CircuitOpen
from journeys import clock, opt_out
from journeys.messages.gateways import OptedOut, Outgoing, gateway
from journeys.models import MessageStatus, OutboundMessage

logger = structlog.get_logger(__name__)

AT_ONCE = 100
"""Messages of one set: all of them are under way at once."""
_TURNS_SECONDS = 2
"""A set is no larger than what the gateway's rate lets through in so long."""
KEEP_SECONDS = 30.0
"""How often a worker renews the leases of its messages: one may wait long for the rate limiter."""
POST_SECONDS = 20.0
"""A message is posted so long after the database has said that it may be, at most."""
MOST_ATTEMPTS = 100
"""With their pauses, about a day of trying."""
TOO_OLD = timedelta(days=7)
"""A message that was held for so long (a paused list, a suspended account) is not sent any more."""
GIVE_UP = timedelta(days=1)
"""An unconfirmed message that is in doubt for so long has failed: it may have been sent, so never again."""
_FIRST_PAUSE, _LONGEST_PAUSE = timedelta(seconds=30), timedelta(minutes=15)
_GIVEN_UP = "It may have been sent, and is not sent again."
_UNASKED_PAUSE = timedelta(seconds=5)
_CONFIRM_PAUSE = timedelta(minutes=5)

_DUE = """
SELECT message.id, message.text, message.attempts, message.list_contact_id, message.created_at,
       contact.phone_number AS to_number, list.phone_number AS from_number, contact.time_zone,
       member.unsubscribed_at, list.status = 'deleted' AS is_deleted,
       list.status <> 'active' OR account.suspended_at IS NOT NULL AS on_hold
FROM journeys_outboundmessage AS message
JOIN contacts_listcontact AS member ON member.id = message.list_contact_id
JOIN contacts_contact AS contact ON contact.id = member.contact_id
JOIN contacts_sendinglist AS list ON list.id = member.sending_list_id
JOIN accounts_account AS account ON account.id = list.account_id
WHERE message.status = 'queued' AND message.due_at <= %(now)s
ORDER BY message.due_at LIMIT %(most)s
FOR UPDATE OF message SKIP LOCKED
"""

_MARK = """
UPDATE journeys_outboundmessage AS message
SET status = input.status, due_at = COALESCE(input.due_at, message.due_at), error = input.error,
    gateway = input.gateway, gateway_id = input.gateway_id,
    claimed_at = CASE WHEN input.status = 'sending' THEN %(now)s::timestamptz ELSE message.claimed_at END,
    attempts = message.attempts + (input.status = 'sending')::int - input.unasked::int,
    sent_at = CASE WHEN input.status = 'sent' THEN %(now)s::timestamptz END
FROM jsonb_to_recordset(%(rows)s::jsonb) AS input (
    id bigint, status text, due_at timestamptz, error text, gateway text, gateway_id text, attempt int,
    unasked boolean
)
WHERE message.id = input.id AND message.status = ANY(%(before)s)
    AND message.attempts = COALESCE(input.attempt, message.attempts)
"""

_KEEP = """
UPDATE journeys_outboundmessage AS message SET claimed_at = %(now)s
FROM jsonb_to_recordset(%(rows)s::jsonb) AS input (id bigint, attempt int), contacts_listcontact AS member
WHERE message.id = input.id AND message.attempts = input.attempt AND message.status = 'sending'
    AND member.id = message.list_contact_id
RETURNING message.id, member.unsubscribed_at IS NOT NULL AS opted_out
"""

_database_clock = sql.now


@dataclass(frozen=True)
class Change:
    """What becomes of a message."""

    id: int
    status: MessageStatus
    due_at: datetime | None = None
    error: str = ""
    gateway_id: str = ""
    gateway: str = field(default_factory=lambda: settings.TRACKLY_MESSAGES)
    attempt: int | None = None
    """Of which attempt this is the outcome; it says nothing of a later one."""
    unasked: bool = False
    """The gateway was not asked: no attempt."""


def settled() -> timedelta:
    """After this a gateway's list has every message that it has taken."""
    return timedelta(seconds=settings.TRACKLY_CONFIRM_AFTER)


def silent() -> timedelta:
    """The lease of a message that a worker has taken: once it has expired the message is unconfirmed."""
    return min(timedelta(minutes=2), settled())


def post_within() -> float:
    """Seconds for a permit: long over when what it is for is taken for lost."""
    return min(POST_SECONDS, silent().total_seconds() / 4)


def is_due(now: datetime) -> bool:
    """Whether there is anything to send."""
    return OutboundMessage.objects.filter(status=MessageStatus.QUEUED, due_at__lte=now).exists()


def send(now: datetime) -> int:
    """Send a set of messages that are due; how many got somewhere. Call it outside of transactions.

    None of a set did if the gateway was not even asked: then it is of no use to go on at once.
    """

    def take() -> list[tuple[Mapping[str, Any], Change]]:
        taken = sql.rows(_DUE, {"now": now, "most": _at_once()})
        quiet = clock.quiet_hours()
        changes = [_before_sending(row, now, quiet) for row in taken]
        _mark(changes, now, MessageStatus.QUEUED)
        return list(zip(taken, changes, strict=True))

    taken = sql.retry_on_conflict(take)
    to_send = [row for row, change in taken if change.status is MessageStatus.SENDING]
    unasked = _hand_over(to_send, now) if to_send else 0
    return len(taken) - unasked


def _at_once() -> int:
    rate = settings.TRACKLY_RATES["twilio_messages"] if settings.TRACKLY_MESSAGES == "twilio" else 0.0
    return min(AT_ONCE, max(1, int(rate * _TURNS_SECONDS))) if rate else AT_ONCE


def _before_sending(row: Mapping[str, Any], now: datetime, quiet: clock.QuietHours | None) -> Change:
    """What may have changed since the step was taken counts: consent, a pause, the time of day."""
    if row["unsubscribed_at"] is not None:
        return Change(row["id"], MessageStatus.CANCELLED, error="The contact opted out.")
    if row["is_deleted"]:
        return Change(row["id"], MessageStatus.CANCELLED, error="The list was deleted.")
    if row["attempts"] >= MOST_ATTEMPTS:
        return Change(row["id"], MessageStatus.FAILED, error="It was tried for a day in vain.")
    if row["created_at"] < now - TOO_OLD:
        return Change(row["id"], MessageStatus.CANCELLED, error="It was held for too long.")
    until = quiet.until(now, clock.zones(row["to_number"], row["time_zone"])) if quiet else None
    if row["on_hold"] or until:
        return Change(row["id"], MessageStatus.QUEUED, due_at=until or now + clock.HOLD)
    return Change(row["id"], MessageStatus.SENDING)


def _hand_over(taken: Sequence[Mapping[str, Any]], now: datetime) -> int:
    """Give messages to the gateway, all at once; what becomes of each is stored as it is known.

    How many the gateway was not asked to take.
    """
    by, way, permits = gateway(), caller(), _Permits()
    members = {row["id"]: row["list_contact_id"] for row in taken}
    attempts = {row["id"]: row["attempts"] + 1 for row in taken}
    asked: dict[int, Future[str]] = {
        row["id"]: way.submit(
            by.send(
                way,
                Outgoing(row["from_number"], row["to_number"], row["text"]),
                permits.of(row["id"], attempts[row["id"]]),
            )
        )
        for row in taken
    }
    try:
        return _follow(asked, permits, members, attempts, now)
    finally:  # what could not be followed to its end must not be posted later
        for future in asked.values():
            future.cancel()


class Withdrawn(OutboundError):
    """The message may not be posted: it was taken from this sender, or its contact has opted out."""

    def __init__(self, *, opted_out: bool) -> None:
        why = "The contact opted out." if opted_out else "Another worker has the message."
        super().__init__(why, Failure.DEFERRED)
        self.opted_out = opted_out


class _Permits:
    """Messages that are about to be posted wait here for the database's word: one statement for all of them.

    They ask in the caller's loop; the sender's thread, which has the connection, grants.
    """

    def __init__(self) -> None:
        self._asked: queue.SimpleQueue[tuple[int, int, Future[float]]] = queue.SimpleQueue()

    def of(self, message: int, attempt: int) -> Permit:
        """What the message's request asks before each try."""

        async def ask() -> float:
            granted: Future[float] = Future()
            self._asked.put((message, attempt, granted))
            return await asyncio.wrap_future(granted)

        return ask

    def grant(self) -> None:
        """Answer whatever has asked: it may be posted if its row is still the sender's, which is renewed."""
        asked = []
        while not self._asked.empty():
            asked.append(self._asked.get())
        if not asked:
            return
        until = boot_clock() + post_within()  # before the database is asked: also that may take long
        ours = _keep({message: attempt for message, attempt, _ in asked}, _database_clock())
        for message, _, granted in asked:
            if not granted.set_running_or_notify_cancel():
                continue
            if ours.get(message) is False:
                granted.set_result(until)
            else:
                granted.set_exception(Withdrawn(opted_out=message in ours))


def _follow(
    asked: Mapping[int, Future[str]],
    permits: _Permits,
    members: Mapping[int, int],
    attempts: Mapping[int, int],
    now: datetime,
) -> int:
    """Store what becomes of each message, each tick; how many were not asked about."""
    kept = now
    unasked = 0
    for done, left in in_ticks(asked, meanwhile=permits.grant):
        at = _database_clock()
        known = {message: future for message, future in done.items() if not future.cancelled()}
        changes = [_outcome(message, future, attempts[message], at) for message, future in known.items()]
        unasked += sum(change.unasked for change in changes)
        opted_out = [members[message] for message, future in known.items() if _said_stop(future)]
        if changes:
            sql.retry_on_conflict(partial(_store, changes, opted_out, at))
        if (at - kept).total_seconds() >= KEEP_SECONDS:
            kept = at
            still_ours = _keep({message: attempts[message] for message in left}, at)
            for message in left.keys() - still_ours.keys():  # their lease expired
                left[message].cancel()
    return unasked


def _store(changes: Sequence[Change], opted_out: Sequence[int], now: datetime) -> None:
    """Store outcomes, and the opt-outs that they tell of: both or neither."""
    if opted_out:  # first: a transaction that writes memberships locks their contacts before anything else
        _opt_out(opted_out)
    _mark(changes, now, MessageStatus.SENDING)


def _keep(held: Mapping[int, int], now: datetime) -> dict[int, bool]:
    """Renew a worker's leases of these messages (each with its attempt).

    Returns those that it still holds, each with whether its contact has opted out meanwhile.
    """
    wanted = codec.encode([{"id": message, "attempt": attempt} for message, attempt in held.items()]).decode()
    kept = sql.retry_on_conflict(lambda: sql.rows(_KEEP, {"rows": wanted, "now": now}))
    return {row["id"]: row["opted_out"] for row in kept}


def _said_stop(future: Future[str]) -> bool:
    return isinstance(future.exception(), OptedOut)


def _outcome(message: int, future: Future[str], attempt: int, now: datetime) -> Change:
    error = future.exception()
    change = partial(Change, message, attempt=attempt)
    if error is None:
        return change(MessageStatus.SENT, gateway_id=future.result())
    if isinstance(error, Withdrawn) and error.opted_out:
        return change(MessageStatus.CANCELLED, error=str(error), unasked=True)
    failure = error.failure if isinstance(error, OutboundError) else Failure.AMBIGUOUS
    if not isinstance(error, OutboundError):  # an unexpected error may have come after the sending
        logger.error("message_raised", message=message, exc_info=error)
    if failure is Failure.PERMANENT:
        return change(MessageStatus.FAILED, error=str(error)[:200])
    if failure is Failure.AMBIGUOUS:
        return change(MessageStatus.UNCONFIRMED, error=str(error)[:200])
    if isinstance(error, RateLimitTimeout | CircuitOpen | Withdrawn):
        return change(MessageStatus.QUEUED, due_at=now + _UNASKED_PAUSE, error=str(error)[:200], unasked=True)
    if failure is Failure.MISCONFIGURED:
        logger.error("gateway_credentials_rejected", error=str(error))
    pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(attempt - 1, 10))
    return change(MessageStatus.QUEUED, due_at=now + pause, error=str(error)[:200])


def _mark(changes: Iterable[Change], now: datetime, *before: MessageStatus) -> None:
    """Store what becomes of messages that are `before` as they were."""
    wanted = codec.encode([vars(change) for change in changes]).decode()
    sql.rows(_MARK, {"rows": wanted, "now": now, "before": [str(status) for status in before]})


def _opt_out(list_contact_ids: Sequence[int]) -> None:
    """The gateway says that these contacts want no messages: they have told it, not us."""
    numbers = sql.rows(
        "SELECT DISTINCT phone_number FROM contacts_contact AS contact"
        " JOIN contacts_listcontact AS member ON member.contact_id = contact.id"
        " WHERE member.id = ANY(%(ids)s)",
        {"ids": list(list_contact_ids)},
    )
    rows.lock(sorted(row["phone_number"] for row in numbers))
    opt_out.opt_out(list_contact_ids)


def look_after(now: datetime) -> None:
    """What a dead worker held becomes unconfirmed."""
    lost = OutboundMessage.objects.filter(status=MessageStatus.SENDING, claimed_at__lt=now - silent())
    if count := lost.update(status=MessageStatus.UNCONFIRMED, error="The worker that sent it was lost."):
        logger.warning("messages_unconfirmed", count=count)


def unconfirmed(now: datetime) -> QuerySet[OutboundMessage]:
    """Messages that the gateway's list can tell about by now, and that it was not asked about just before."""
    waiting = OutboundMessage.objects.filter(status=MessageStatus.UNCONFIRMED, due_at__lte=now)
    return waiting.filter(claimed_at__lt=now - settled())


def confirm(now: datetime) -> int:
    """Ask the gateway whether it has what is unconfirmed; how many are settled. Not in a transaction.

    What it has is sent; what it certainly does not have is queued again. What it can't tell about now is
    asked about again minutes later, so that it keeps no others, and has failed after a day.
    """
    asked_for = unconfirmed(now).order_by("claimed_at")
    found = asked_for.select_related("list_contact__contact", "list_contact__sending_list")[:AT_ONCE]
    settled_now = 0
    for message in found:  # one by one: two of one text to one number must not both find the same
        try:
            change = _confirmed(message, now)
        except CircuitOpen:
            break
        except OutboundError as exc:
            logger.warning("not_confirmed", message=message.pk, error=str(exc))
            change = _in_doubt(message, now, str(exc))
        sql.retry_on_conflict(partial(_mark, [change], now, MessageStatus.UNCONFIRMED))
        settled_now += change.status is not MessageStatus.UNCONFIRMED
    return settled_now


def _in_doubt(message: OutboundMessage, now: datetime, why: str) -> Change:
    """It is asked about again later; after a day of asking it will never be known."""
    change = partial(Change, message.pk, gateway=message.gateway)
    if (message.claimed_at or now) < now - GIVE_UP:
        return change(MessageStatus.FAILED, error=f"{_GIVEN_UP} {why}"[:200])
    return change(MessageStatus.UNCONFIRMED, due_at=now + _CONFIRM_PAUSE, error=why[:200])


def _confirmed(message: OutboundMessage, now: datetime) -> Change:
    """What an unconfirmed message is, by the gateway's list. Raises OutboundError."""
    unsettled = OutboundMessage.objects.filter(
        Q(status__in=[MessageStatus.SENDING, MessageStatus.UNCONFIRMED]) | Q(error__startswith=_GIVEN_UP),
        list_contact=message.list_contact_id,
    )
    if unsettled.filter(status=MessageStatus.SENDING, text=message.text).exists():
        return _in_doubt(message, now, message.error)  # what the list has may be that one
    member, by, way = message.list_contact, gateway(message.gateway), caller()
    outgoing = Outgoing(member.sending_list.phone_number, member.contact.phone_number, message.text)
    # Since it was made, not since it was claimed: the claim is renewed, and any attempt's message will do.
    found = way.submit(by.find(way, outgoing, message.pk, now - message.created_at)).result()
    same, unreadable = _not_taken(by.name, found.same), _not_taken(by.name, found.unreadable)
    if unreadable and not same:
        # Each of our messages to this number that is unsettled is among them, or it can't be told which is.
        if len(unreadable) < unsettled.count():
            return _in_doubt(message, now, "The gateway's list hides texts: one of its messages may be it.")
        same = unreadable
    if same:
        # The oldest: the newest may be another message's, of the same text, whose answer is on its way.
        return Change(message.pk, MessageStatus.SENT, gateway_id=same[-1], gateway=message.gateway)
    if found.doubt:
        return _in_doubt(message, now, found.doubt)
    return Change(message.pk, MessageStatus.QUEUED, due_at=now, error="The gateway never got it.")


def _not_taken(name: str, candidates: Sequence[str]) -> list[str]:
    """The gateway's ids that are no other message's of ours."""
    if not candidates:
        return []
    known = OutboundMessage.objects.filter(gateway=name, gateway_id__in=candidates)
    taken = set(known.values_list("gateway_id", flat=True))
    return [candidate for candidate in candidates if candidate not in taken]
