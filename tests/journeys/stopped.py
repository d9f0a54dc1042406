"""A worker that sends what is due, in a process of its own, and stands still where a test wants it to.

`python -m tests.journeys.stopped DATABASE_URL STUB_URL REDIS_URL PLACE`. At PLACE it says "here" and waits
for a line, loop and all: `claimed` (the rows are its own, nothing was handed over), `granted` (it may post)
or `connected` (it has the connection). In the end it says how many it sent.
"""

import os
import sys
from typing import Any
from unittest.mock import patch

DATABASE, STUB, REDIS, PLACE = sys.argv[1:]
os.environ |= {"DATABASE_URL": DATABASE, "REDIS_URL": REDIS, "DJANGO_SETTINGS_MODULE": "tests.settings"}

import aiohttp  # noqa: E402 - the environment comes first
import django  # noqa: E402
from django.conf import settings  # noqa: E402

django.setup()

from core import sql  # noqa: E402
from core.outbound.calling import Caller  # noqa: E402
from journeys.messages import outbox  # noqa: E402 - the settings come first


def stand_still() -> None:
    print("here", flush=True)  # noqa: T201 - for the test
    sys.stdin.readline()


hand_over, send, connect = outbox._hand_over, Caller._send, aiohttp.TCPConnector.connect


def claimed(*given: Any) -> int:
    stand_still()
    return hand_over(*given)


async def granted(*given: Any) -> Any:
    stand_still()
    return await send(*given)


async def connected(*given: Any, **more: Any) -> Any:
    connection = await connect(*given, **more)
    stand_still()
    return connection


match PLACE:
    case "claimed":
        patch.object(outbox, "_hand_over", claimed).start()
    case "granted":
        patch.object(Caller, "_send", granted).start()
    case "connected":
        patch.object(aiohttp.TCPConnector, "connect", connected).start()
settings.TRACKLY_MESSAGES, settings.TRACKLY_QUIET_HOURS = "twilio", ()
settings.TWILIO_MESSAGES_URL, settings.TRACKLY_CONFIRM_AFTER = STUB, 1.0
print(outbox.send(sql.now()), flush=True)  # noqa: T201
