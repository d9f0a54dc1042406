"""Field names in a draft that the account's contacts do not have: most likely they are mistyped.

A merge tag of such a name is sent as nothing. Names are looked for among the latest contacts, what the
journey's own steps set, and what is known of every contact.
"""

import difflib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from core import sql
from journeys.builder.drafts import Entry, Fault
from journeys.models import Journey
from journeys.steps import Message, SetField
from journeys.text import BUILT_IN, tags

# Of the newest memberships of the newest lists: an account may have millions.
_FIELD_NAMES = """
SELECT DISTINCT jsonb_object_keys(newest.custom_fields) AS name
FROM (
    SELECT id FROM contacts_sendinglist WHERE account_id = %(account)s ORDER BY id DESC LIMIT 20
) AS list CROSS JOIN LATERAL (
    SELECT custom_fields FROM contacts_listcontact
    WHERE sending_list_id = list.id ORDER BY signup_date DESC, id DESC LIMIT 50
) AS newest
ORDER BY name LIMIT 500
"""
MOST_SHOWN = 20
"""Of a draft's unknown names: a long text may hold thousands, and looking for similar names takes time."""
_LONGEST = 100
_PLAIN = re.compile(r"[\W_]+")


def field_names(journey: Journey) -> list[str]:
    """The custom fields of the account's latest contacts. One query."""
    return [row["name"] for row in sql.rows(_FIELD_NAMES, {"account": journey.account_id})]


@dataclass(frozen=True)
class Unknown:
    """A merge tag of a name that no contact is known to have."""

    name: str
    entry: Entry
    """The first step that has it."""
    has_fallback: bool
    """Wherever it stands."""

    @property
    def tag(self) -> str:
        return f"{{{{{self.name[:_LONGEST]}}}}}"

    def warning(self, known: Iterable[str]) -> Fault:
        """What to say about it, with the name that was meant, if there is one much like it."""
        said = f"{self.tag} is on none of your latest contacts"
        if meant := similar(self.name, known):
            said += f"; did you mean {{{{{meant}}}}}?"
        elif self.has_fallback:
            said += ", so its fallback is always sent. Check the name."
        else:
            said += f". Check the name, or add a fallback: {self.tag[:-2]}|there}}}}."
        return Fault(said, self.entry.place, "text", f"Step {self.entry.place}, {self.entry.title}")


def known_names(entries: Iterable[Entry], names: Iterable[str]) -> set[str]:
    """`names`, what the steps set themselves, and what is known of every contact."""
    return {*names, *BUILT_IN, *(one.step.name for one in entries if isinstance(one.step, SetField))}


def unknown_tags(entries: Iterable[Entry], known: set[str]) -> list[Unknown]:
    """The tags whose names are not known, those without a fallback first."""
    found: dict[str, tuple[Entry, bool]] = {}
    for entry in entries:
        for name, has_fallback in _tags(entry):
            if name not in known:
                first, others_have = found.get(name, (entry, True))
                found[name] = (first, others_have and has_fallback)
    unknown = [Unknown(name, entry, has_fallback) for name, (entry, has_fallback) in found.items()]
    return sorted(unknown, key=lambda one: one.has_fallback)


def warnings(unknown: Sequence[Unknown], known: set[str]) -> list[Fault]:
    """About the first MOST_SHOWN of them; about the rest one more."""
    said = [one.warning(known) for one in unknown[:MOST_SHOWN]]
    more = len(unknown) - MOST_SHOWN
    return (
        [*said, Fault(f"{more:,} more merge tags are on none of your latest contacts.")] if more > 0 else said
    )


def _tags(entry: Entry) -> Iterator[tuple[str, bool]]:
    if isinstance(entry.step, Message):
        try:
            yield from tags(entry.step.text).items()
        except ValueError:  # a problem of its own
            return


def similar(name: str, known: Iterable[str]) -> str:
    """The known name that is most like this one, letters' case and what is no letter aside; or empty."""
    if len(name) > _LONGEST:
        return ""
    plain = {
        _PLAIN.sub("", one).casefold(): one for one in sorted(known, reverse=True) if len(one) <= _LONGEST
    }
    [*close] = difflib.get_close_matches(_PLAIN.sub("", name).casefold(), plain, n=1, cutoff=0.75)
    return plain[close[0]] if close else ""
