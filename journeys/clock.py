"""Times of day where the contact is. All moments taken and returned are aware, and in UTC where returned."""

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from django.conf import settings

from journeys.steps import Wait, WaitUntil

HOLD = timedelta(minutes=15)
"""After this a message is looked at again whose list is paused, or whose account is suspended."""


@lru_cache(maxsize=1024)
def zone(name: str) -> ZoneInfo:
    """The IANA time zone; TRACKLY_TIME_ZONE where the contact's is not known, or not to this machine."""
    try:
        return ZoneInfo(name or settings.TRACKLY_TIME_ZONE)
    except (KeyError, ValueError, OSError):  # as ZoneInfo says that there is none
        return ZoneInfo(settings.TRACKLY_TIME_ZONE)


def _moment(day: datetime, at: time, where: ZoneInfo) -> datetime:
    """When it is `at` on that day: the first of two such times; where the clocks skip it, after the skip."""
    return datetime.combine(day.date(), at, where).astimezone(UTC)


def wait_ends(step: Wait | WaitUntil, now: datetime, where: ZoneInfo) -> datetime:
    """When a wait that begins now is over."""
    local = now.astimezone(where)
    if isinstance(step, WaitUntil):
        return _next(step.time_of_day, local, where)
    if step.unit == "days":
        return _moment(local + timedelta(days=step.amount), local.time(), where)
    return now.astimezone(UTC) + timedelta(**{step.unit: step.amount})


def _next(at: time, local: datetime, where: ZoneInfo) -> datetime:
    """The next moment after `local` at which it is `at`."""
    today = _moment(local, at, where)
    return today if today > local.astimezone(UTC) else _moment(local + timedelta(days=1), at, where)


@dataclass(frozen=True)
class QuietHours:
    """When nobody is texted: from `start` to `end` where the contact is, which may be over midnight.

    By default 21:00 to 08:00: 47 CFR 64.1200(c)(1), under the TCPA, allows 8 a.m. to 9 p.m. at the called
    party's location.
    """

    start: time
    end: time

    def until(self, now: datetime, where: ZoneInfo) -> datetime | None:
        """When the quiet hours end that last just now; None: there are none now."""
        local = now.astimezone(where)
        at = local.time()
        if self.start <= self.end:
            is_quiet = self.start <= at < self.end
        else:
            is_quiet = at >= self.start or at < self.end
        if not is_quiet:
            return None
        # Where the clocks go back an end may come twice; the next one counts.
        again = datetime.combine(local.date(), self.end, where).replace(fold=1).astimezone(UTC)
        ends = _next(self.end, local, where)
        return min(ends, again) if again > now else ends


def quiet_hours() -> QuietHours | None:
    """As TRACKLY_QUIET_HOURS has them; None: messages go out at any time."""
    hours = settings.TRACKLY_QUIET_HOURS
    return QuietHours(*hours) if hours else None
