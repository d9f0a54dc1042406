"""What an enrollment does when it goes on: no database, no clock but the one that is given."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

from journeys import clock, text
from journeys.clock import QuietHours
from journeys.conditions import Person
from journeys.models import EnrollmentStatus
from journeys.steps import (
    EXPIRES,
    WAITS,
    Condition,
    Exit,
    Message,
    Plan,
    SetField,
    Step,
    Unsubscribe,
    Wait,
    WaitUntil,
)


@dataclass
class EnrollmentContext:
    """An enrollment while it goes on: its step, and what the steps see of its contact."""

    step: str
    """The step that it waited at; empty: before the first step."""
    enrolled_at: datetime
    where: ZoneInfo
    person: Person
    known: Mapping[str, str]
    """Macros beside the custom fields (journeys.text.BUILT_IN)."""
    reachable: bool = True
    """The carrier says that the number can take a message."""
    on_hold: datetime | None = None
    """Set: nothing may be sent to the contact now; to be checked again then."""
    zones: clock.Zones = ()
    """Every zone that the contact may be in, whose quiet hours all count; empty: `where` alone."""


@dataclass
class Transition:
    """What going on has come to. Nothing has taken effect yet."""

    status: EnrollmentStatus = EnrollmentStatus.ACTIVE
    step: str = ""
    due_at: datetime | None = None
    """When it goes on from there; None once it has ended."""
    visits: list[tuple[str, str]] = field(default_factory=list)
    """The steps taken, each with a note."""
    messages: list[tuple[int, str]] = field(default_factory=list)
    """Texts to send, each with the place of its visit in `visits`."""
    fields: dict[str, str] = field(default_factory=dict)
    """Custom fields to set."""
    unsubscribes: bool = False


def step_until_blocked(
    plan: Plan, traveller: EnrollmentContext, now: datetime, quiet: QuietHours | None
) -> Transition:
    """Take steps until one waits or the journey ends. Raises KeyError for a step that is not in the plan."""
    progress = Transition(step=traveller.step)
    if now >= traveller.enrolled_at + EXPIRES:
        return _ended(progress, EnrollmentStatus.EXPIRED)
    step = plan.first
    if traveller.step:
        step = plan.by_id[traveller.step]
        if isinstance(step, WAITS):  # that is over
            step = plan.after(step)
    for _ in plan.steps:  # a validated plan takes none of them twice without a wait
        if step is None:
            break
        progress.step = step.id
        if until := _stops_until(step, traveller, now, quiet):
            if isinstance(step, WAITS):
                progress.visits.append((step.id, ""))
            progress.due_at = min(until, traveller.enrolled_at + EXPIRES)
            return progress
        if isinstance(step, Unsubscribe | Exit):
            progress.visits.append((step.id, ""))
            progress.unsubscribes = isinstance(step, Unsubscribe)
            over = EnrollmentStatus.UNSUBSCRIBED if progress.unsubscribes else EnrollmentStatus.COMPLETED
            return _ended(progress, over)
        step = _take(plan, step, traveller, progress)
    return _ended(progress, EnrollmentStatus.COMPLETED if step is None else EnrollmentStatus.FAILED)


def _stops_until(
    step: Step, traveller: EnrollmentContext, now: datetime, quiet: QuietHours | None
) -> datetime | None:
    """When the enrollment may pass the step; None: now. A message waits while nothing may be sent."""
    if isinstance(step, WAITS):
        return clock.wait_ends(step, now, traveller.where)
    if isinstance(step, Message):
        return traveller.on_hold or (quiet.until(now, traveller.zones or traveller.where) if quiet else None)
    return None


def _take(plan: Plan, step: Step, traveller: EnrollmentContext, progress: Transition) -> Step | None:
    """Take a step that neither waits nor ends; the one that comes next."""
    note, person = "", traveller.person
    match step:
        case Condition():
            holds = plan.checks[step.id](person)
            progress.visits.append((step.id, "yes" if holds else "no"))
            return plan.target(step, step.yes if holds else step.no)
        case SetField():
            progress.fields[step.name] = step.value
            changed = {**person.fields, step.name: step.value}
            traveller.person = Person(changed, person.lists, person.happened, person.joined)
        case Message():
            note = _send(step, traveller, progress)
    progress.visits.append((step.id, note))
    return plan.after(step)


def _send(step: Message, traveller: EnrollmentContext, progress: Transition) -> str:
    """Add the message; why there is none, if there is none."""
    if not traveller.reachable:
        return "not sent: the number can't receive"
    message = text.render(step.text, traveller.person.fields, traveller.known)
    if not message:
        return "not sent: the text is empty"
    progress.messages.append((len(progress.visits), message))
    return ""


def _ended(progress: Transition, status: EnrollmentStatus) -> Transition:
    progress.status = status
    return progress


def describe(step: Step) -> str:
    """A step in a few words, for people."""
    match step:
        case Message():
            return step.text
        case Wait():
            return f"{step.amount} {step.unit.removesuffix('s') if step.amount == 1 else step.unit}"
        case WaitUntil():
            return f"{step.at}, the contact's time"
        case SetField():
            return f"{step.name} = {step.value}"
        case _:
            return ""
