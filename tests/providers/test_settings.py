"""Providers are chosen by settings; those that can't work are refused before anything starts."""

import os
import re
import runpy
from typing import Any
from unittest import mock

import pytest
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from core.celery import broker
from trackly.celery import app

TWILIO = {"TWILIO_ACCOUNT_SID": "AC0", "TWILIO_AUTH_TOKEN": "0"}
TELNYX = {"TELNYX_API_KEY": "0"}
OURS = {"TRACKLY_SANDBOX", "TRACKLY_CARRIER", "TRACKLY_VALIDATION", "TRACKLY_DO_NOT_CALL", *TWILIO, *TELNYX}


def start(**variables: str) -> dict[str, Any]:
    """The settings of a process that has these variables."""
    environment = {name: value for name, value in os.environ.items() if name not in OURS}
    given = {**environment, "SECRET_KEY": "x", **variables}
    with mock.patch.dict(os.environ, given, clear=True), mock.patch("structlog.configure"):
        return runpy.run_path(str(settings.BASE_DIR / "trackly/settings.py"))


@pytest.mark.parametrize(
    ("variables", "chosen"),
    [
        ({}, (["offline"], [])),
        ({"TRACKLY_SANDBOX": "1"}, (["twilio"], ["telnyx"])),
        (
            {
                "TRACKLY_SANDBOX": "1",
                "ALLOWED_HOSTS": "localhost,.localhost,acme.localhost,127.0.0.1,127.1.2.3,[::1]",
            },
            (["twilio"], ["telnyx"]),
        ),
        ({"TRACKLY_CARRIER": "twilio,offline", **TWILIO}, (["twilio", "offline"], [])),
        ({"TRACKLY_CARRIER": "telnyx", "TRACKLY_VALIDATION": "telnyx", **TELNYX}, (["telnyx"], ["telnyx"])),
    ],
)
def test_settings_that_can_work(variables: dict[str, str], chosen: tuple[list[str], list[str]]) -> None:
    made = start(**variables)
    assert (made["TRACKLY_CARRIER"], made["TRACKLY_VALIDATION"]) == chosen


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("rediss://h/0", {"visibility_timeout", "queue_order_strategy"}),
        ("amqp://h//", {"confirm_publish"}),
        ("amqps://h//;amqps://other//", {"confirm_publish"}),
    ],
)
def test_a_broker_gets_the_options_that_it_knows(url: str, options: set[str]) -> None:
    made = start(REDIS_URL="redis://r/1", CELERY_BROKER_URL=url)
    given = made["CELERY_BROKER_TRANSPORT_OPTIONS"]
    assert options <= given.keys()
    assert ("visibility_timeout" in given) != ("confirm_publish" in given)
    assert made["CELERY_RESULT_BACKEND"].endswith("redis://r/1")


def test_no_answer_of_rabbitmq_is_waited_for_without_an_end() -> None:
    for url, transport in (("amqp://h//", broker.Transport), ("amqps://h//", broker.SSLTransport)):
        assert type(app.connection_for_write(url).transport) is transport


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"TRACKLY_SANDBOX": "1", **TWILIO}, "TRACKLY_SANDBOX is on and TWILIO_ACCOUNT_SID"),
        ({"TRACKLY_SANDBOX": "1", **TELNYX}, "TRACKLY_SANDBOX is on and TELNYX_API_KEY"),
        (
            {"TRACKLY_SANDBOX": "1", "REALPHONEVALIDATION_TOKEN": "0"},
            "TRACKLY_SANDBOX is on and REALPHONEVALIDATION_TOKEN",
        ),
        *(
            (
                {"TRACKLY_SANDBOX": "1", "ALLOWED_HOSTS": f"localhost,{host}"},
                f"TRACKLY_SANDBOX is on and ALLOWED_HOSTS names {host}: ",
            )
            for host in (
                "*",
                "api.example.com",
                ".example.com",
                "192.168.1.5",
                "0.0.0.0",  # noqa: S104 - refused
                "localhost.example.com",
                "127.0.0.1.example.com",
                "web",
                "[::2]",
            )
        ),
        ({"TRACKLY_CARRIER": "twilio"}, "TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN is not set"),
        ({"TRACKLY_VALIDATION": "telnyx"}, "TELNYX_API_KEY is not set"),
        ({"TRACKLY_VALIDATION": "offline"}, "TRACKLY_VALIDATION names 'offline'"),
        ({"TRACKLY_DO_NOT_CALL": "realphonevalidation"}, "REALPHONEVALIDATION_TOKEN is not set"),
        ({"TRACKLY_CARRIER": "nobody"}, "TRACKLY_CARRIER names 'nobody'"),
        ({"TRACKLY_CARRIER": "offline,twilio", **TWILIO}, "only as its last"),
        ({"TRACKLY_CARRIER": ""}, "must name a source"),
        (
            {"CELERY_BROKER_URL": "sqs://"},
            "CELERY_BROKER_URL begins with 'sqs'; there are redis, rediss, amqp",
        ),
    ],
)
def test_settings_that_can_not_work_are_refused(variables: dict[str, str], message: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=re.escape(message)):
        start(**variables)
