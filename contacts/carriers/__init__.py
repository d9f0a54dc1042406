"""Free carrier look-ups: what a number is, and whether it can take a text message.

One file per source. `offline` needs no network; the others are asked over HTTP, for slices that travel on a
queue of their own (contacts.bulk).
"""

import httpx
from django.conf import settings

from contacts.carriers import offline, sandbox
from contacts.carriers.facts import UNVERIFIED, Facts, LookupFailed

__all__ = ["UNVERIFIED", "Facts", "LookupFailed", "look_up", "needs_network", "offline_facts"]

offline_facts = offline.look_up


def needs_network(phone_number: str) -> bool:
    """Whether this number's facts come from a service on the network (contract, "Sandbox")."""
    return bool(settings.TRACKLY_SANDBOX) and phone_number in sandbox.NUMBERS


async def look_up(client: httpx.AsyncClient, phone_number: str) -> Facts:
    """The facts of a number that `needs_network`. Raises LookupFailed where nobody answers."""
    return await sandbox.look_up(client, phone_number)
