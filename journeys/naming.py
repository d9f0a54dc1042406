"""Which journeys name a list, in their triggers or steps."""

from collections.abc import Iterator

import msgspec

from contacts.models import SendingList
from journeys.conditions import HappenedTest, ListTest, Test, leaves
from journeys.models import Journey, JourneyStatus
from journeys.steps import Condition


def naming(sending_list: SendingList) -> list[str]:
    """The names of its account's journeys that name the list, with their status; archived ones left out."""
    candidates = (
        Journey.objects.filter(account=sending_list.account_id)
        .exclude(status=JourneyStatus.ARCHIVED)
        .select_related("version")
        .order_by("name", "pk")
    )
    return [
        f"{journey.name} ({journey.get_status_display().lower()})"
        for journey in candidates
        if any(sending_list.pk in _lists(test) for test in _tests(journey))
    ]


def _tests(journey: Journey) -> Iterator[Test]:
    """The conditions of a journey; what can't be read names no list."""
    try:
        if journey.group:
            yield journey.group
        if journey.version:
            yield from (step.test for step in journey.version.plan.steps if isinstance(step, Condition))
    except msgspec.ValidationError:
        return


def _lists(test: Test) -> set[int]:
    return {
        named for leaf in leaves(test) if isinstance(leaf, ListTest | HappenedTest) for named in leaf.lists
    }
