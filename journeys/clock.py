"""Times of day where the contact is. All moments taken and returned are aware, and in UTC where returned."""

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from django.conf import settings

from contacts.carriers.zones import of_e164
from journeys.steps import Wait, WaitUntil

Zones = tuple[ZoneInfo, ...]
"""Where a contact may be, the likeliest zone first; at least one."""
_AHEAD = timedelta(days=2)
_LEAST_LOUD = timedelta(hours=2)
"""Of two days: an hour of each is left for sending, however many zones a number may be in."""
HOLD = timedelta(minutes=15)
"""After this a message is looked at again whose list is paused, or whose account is suspended."""


@lru_cache(maxsize=1024)
def zone(name: str) -> ZoneInfo:
    """The IANA time zone; TRACKLY_TIME_ZONE where the contact's is not known, or not to this machine."""
    try:
        return ZoneInfo(name or settings.TRACKLY_TIME_ZONE)
    except (KeyError, ValueError, OSError):  # as ZoneInfo says that there is none
        return ZoneInfo(settings.TRACKLY_TIME_ZONE)


def zones(phone_number: str, name: str) -> Zones:
    """Every zone in which a number's holder may be; `name`'s (see zone) where the number does not say."""
    return tuple(map(zone, of_e164(phone_number) or (name,)))


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
    """When no texts are sent: from `start` to `end` in the contact's local time, which may span midnight.

    By default 21:00 to 08:00: 47 CFR 64.1200(c)(1), under the TCPA, allows 8 a.m. to 9 p.m. at the called
    party's location.
    """

    start: time
    end: time

    def until(self, now: datetime, where: ZoneInfo | Zones) -> datetime | None:
        """When the quiet hours end that last just now; None: there are none now.

        Of several zones, the likeliest first: when it is not quiet in any of them. Those that leave no hour
        of the day for that are left out, the least likely ones first.
        """
        if isinstance(where, ZoneInfo):
            return self._until(now, where)
        if len(where) == 1:
            return self._until(now, where[0])
        ends = _loud(self, now, where)[0][0]
        return ends if ends > now else None

    def _until(self, now: datetime, where: ZoneInfo) -> datetime | None:
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

    def _begin(self, now: datetime, where: ZoneInfo) -> datetime:
        """When the next quiet hours begin; `now` is in none."""
        local = now.astimezone(where)
        begins = _next(self.start, local, where)
        again = datetime.combine(local.date(), self.start, where).replace(fold=1).astimezone(UTC)
        return min(begins, again) if again > now else begins


@lru_cache(maxsize=4096)  # all messages of a set are looked at as of one moment, and have few sets of zones
def _loud(quiet: QuietHours, now: datetime, zones: Zones) -> list[tuple[datetime, datetime]]:
    """The times within two days in which it is not quiet in any zone, from `now` on; at least one."""
    free = _loud_in(quiet, now, zones[0])
    for zone in zones[1:]:
        own = _loud_in(quiet, now, zone)
        both = [
            (max(begin, other), min(end, last))
            for begin, end in free
            for other, last in own
            if min(end, last) > max(begin, other)
        ]
        if sum((end - begin for begin, end in both), timedelta()) >= _LEAST_LOUD:
            free = both
    return free


@lru_cache(maxsize=4096)
def _loud_in(quiet: QuietHours, now: datetime, zone: ZoneInfo) -> list[tuple[datetime, datetime]]:
    found = []
    begin = quiet.until(now, zone) or now.astimezone(UTC)
    while begin < now + _AHEAD:
        end = quiet._begin(begin, zone)
        found.append((begin, end))
        begin = quiet.until(end, zone) or end
    return found


def quiet_hours() -> QuietHours | None:
    """As TRACKLY_QUIET_HOURS has them; None: messages go out at any time."""
    hours = settings.TRACKLY_QUIET_HOURS
    return QuietHours(*hours) if hours else None
