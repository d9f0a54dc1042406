"""A worker's process is stopped (SIGSTOP) for longer than TRACKLY_CONFIRM_AFTER, wherever it stands."""

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from contacts.models import ListContact
from core import sql
from devstack.sandbox.server import Stub
from devstack.stack import Stack
from journeys.messages import outbox
from journeys.models import MessageStatus, OutboundMessage
from tests.journeys.test_outbox import World, status
from tests.support import eventually

pytestmark = pytest.mark.django_db(transaction=True)
ROOT = Path(__file__).parents[2]


class Stopped:
    """The worker, which stands still at its place."""

    def __init__(self, stub: Stub, redis_url: str, place: str) -> None:
        at = connection.settings_dict
        database = f"postgres://{at['USER']}:{at['PASSWORD']}@{at['HOST']}:{at['PORT']}/{at['NAME']}"
        url = f"http://127.0.0.1:{stub.server_port}"
        command = [sys.executable, "-m", "tests.journeys.stopped", database, url, redis_url, place]
        self.process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout
        assert self.process.stdout.readline() == "here\n"
        self.process.send_signal(signal.SIGSTOP)

    def step_until_blocked(self) -> str:
        """Let it; what it says in the end."""
        self.process.send_signal(signal.SIGCONT)
        said, _ = self.process.communicate("\n", timeout=60)
        return said

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def world(stub: Stub, servers: Stack, settings: Any) -> World:
    settings.REDIS_URL = servers.environment["REDIS_URL"]
    settings.TRACKLY_MESSAGES, settings.TRACKLY_QUIET_HOURS = "twilio", ()
    settings.TRACKLY_CONFIRM_AFTER = 1.0
    made = World(stub)
    made.now = timezone.now()
    stub.messages.clock = timezone.now
    return made


def lost(message: OutboundMessage) -> bool:
    """Whether the worker is taken for dead, by real time."""
    outbox.look_after(sql.now())
    return status(message) == MessageStatus.UNCONFIRMED


def looked_after(message: OutboundMessage) -> bool:
    """Whether the message is nobody's any more, by real time: lost, looked for, and not found."""
    outbox.look_after(sql.now())
    outbox.confirm(sql.now())
    return status(message) != MessageStatus.SENDING and status(message) != MessageStatus.UNCONFIRMED


@pytest.mark.parametrize(("place", "opts_out"), [("claimed", False), ("granted", True), ("connected", False)])
def test_a_process_that_was_stopped_past_the_limit_sends_nothing_when_it_goes_on(
    world: World, settings: Any, place: str, *, opts_out: bool
) -> None:
    message = world.message()
    worker = Stopped(world.stub, settings.REDIS_URL, place)
    try:
        assert status(message) == MessageStatus.SENDING
        eventually(lambda: looked_after(message))
        assert status(message) == MessageStatus.QUEUED
        if opts_out:
            ListContact.objects.update(unsubscribed_at=timezone.now())
        outbox.send(sql.now())
        settled = MessageStatus.CANCELLED if opts_out else MessageStatus.SENT
        assert status(message) == settled
        before = OutboundMessage.objects.values().get()
        assert worker.step_until_blocked() == "0\n"
        assert OutboundMessage.objects.values().get() == before
        assert world.taken(message) == ([] if opts_out else [message.gateway_id])
    finally:
        worker.close()


def test_a_process_that_was_stopped_while_its_message_is_unconfirmed_leaves_it_to_the_others(
    world: World, settings: Any
) -> None:
    message = world.message()
    worker = Stopped(world.stub, settings.REDIS_URL, "connected")
    try:
        eventually(lambda: lost(message))
        assert worker.step_until_blocked() == "0\n"
        assert (status(message), world.taken(message)) == (MessageStatus.UNCONFIRMED, [])
        eventually(lambda: looked_after(message))
        outbox.send(sql.now())
        assert (status(message), world.taken(message)) == (MessageStatus.SENT, [message.gateway_id])
    finally:
        worker.close()


def test_a_process_that_stood_still_for_a_moment_sends_once(world: World, settings: Any) -> None:
    message = world.message()
    worker = Stopped(world.stub, settings.REDIS_URL, "granted")
    try:
        worker.step_until_blocked()
        if status(message) == MessageStatus.QUEUED:  # the moment was longer than a permit lasts
            message.due_at = sql.now()
            message.save()
            outbox.send(sql.now())
        assert (status(message), world.taken(message)) == (MessageStatus.SENT, [message.gateway_id])
    finally:
        worker.close()
