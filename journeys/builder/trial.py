"""The trial: a journey on a test contact, with a clock that runs ahead. Nothing is sent or written."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from journeys import clock
from journeys.builder.flow import title
from journeys.conditions import Person
from journeys.engine.run import Traveller, describe, go_on
from journeys.messages.text import segments
from journeys.models import EnrollmentStatus
from journeys.steps import EXPIRES, Message, Plan

_MOST_STOPS = 500


@dataclass(frozen=True)
class Line:
    """Something that happens to the test contact."""

    at: datetime
    """In his time zone."""
    step: str
    """Its number; empty: the end."""
    text: str

    @property
    def when(self) -> str:
        """For people; Django's filters would show it in UTC."""
        return f"{self.at:%a %-d %b %Y, %H:%M}"


def run(plan: Plan, person: Person, known: Mapping[str, str], where: ZoneInfo, start: datetime) -> list[Line]:
    """What would happen to somebody who is enrolled at `start`, if every message is sent."""
    lines: list[Line] = []
    traveller = Traveller("", start, where, person, known)
    now = start
    for _ in range(_MOST_STOPS):
        try:
            progress = go_on(plan, traveller, now, clock.quiet_hours())
        except OverflowError:
            lines.append(Line(now, "", "The calendar ends here."))
            return lines
        local = now.astimezone(where)
        texts = dict(progress.messages)
        for place, (step_id, note) in enumerate(progress.visits):
            step = plan.by_id[step_id]
            text = f"{title(step)}: {note or describe(step)}".removesuffix(": ")
            if place in texts:
                text = f"“{texts[place]}” ({segments(texts[place])})"
                person.happened.add(("sent", step_id))
            lines.append(Line(local, str(plan.number(step_id)), text))
        if progress.status is not EnrollmentStatus.ACTIVE or progress.due_at is None:
            lines.append(Line(local, "", f"The journey is over: {progress.status.label.lower()}."))
            return lines
        step = plan.by_id[progress.step]
        if isinstance(step, Message):
            until = progress.due_at.astimezone(where)
            lines.append(Line(local, str(plan.number(step.id)), f"held until {until:%H:%M}: quiet hours"))
        person = traveller.person
        traveller = Traveller(progress.step, start, where, person, known)
        now = progress.due_at
        if now > start + EXPIRES:
            break
    return lines
