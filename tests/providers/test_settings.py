"""Providers are chosen by settings; those that can't work are refused before anything starts."""

import os
import re
import runpy
from typing import Any
from unittest import mock

import pytest
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

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
        ({"TRACKLY_CARRIER": "twilio,offline", **TWILIO}, (["twilio", "offline"], [])),
        ({"TRACKLY_CARRIER": "telnyx", "TRACKLY_VALIDATION": "telnyx", **TELNYX}, (["telnyx"], ["telnyx"])),
    ],
)
def test_settings_that_can_work(variables: dict[str, str], chosen: tuple[list[str], list[str]]) -> None:
    made = start(**variables)
    assert (made["TRACKLY_CARRIER"], made["TRACKLY_VALIDATION"]) == chosen


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"TRACKLY_SANDBOX": "1", **TWILIO}, "TRACKLY_SANDBOX is on and TWILIO_ACCOUNT_SID"),
        ({"TRACKLY_SANDBOX": "1", **TELNYX}, "TRACKLY_SANDBOX is on and TELNYX_API_KEY"),
        (
            {"TRACKLY_SANDBOX": "1", "REALPHONEVALIDATION_TOKEN": "0"},
            "TRACKLY_SANDBOX is on and REALPHONEVALIDATION_TOKEN",
        ),
        ({"TRACKLY_CARRIER": "twilio"}, "TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN is not set"),
        ({"TRACKLY_VALIDATION": "telnyx"}, "TELNYX_API_KEY is not set"),
        ({"TRACKLY_VALIDATION": "offline"}, "TRACKLY_VALIDATION names 'offline'"),
        ({"TRACKLY_DO_NOT_CALL": "realphonevalidation"}, "REALPHONEVALIDATION_TOKEN is not set"),
        ({"TRACKLY_CARRIER": "nobody"}, "TRACKLY_CARRIER names 'nobody'"),
        ({"TRACKLY_CARRIER": "offline,twilio", **TWILIO}, "only as its last"),
        ({"TRACKLY_CARRIER": ""}, "must name a source"),
    ],
)
def test_settings_that_can_not_work_are_refused(variables: dict[str, str], message: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=re.escape(message)):
        start(**variables)
