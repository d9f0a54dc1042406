"""Providers are chosen by settings; those that can't work are refused before anything starts."""

import os
import subprocess
import sys

import pytest

TWILIO = {"TWILIO_ACCOUNT_SID": "AC0", "TWILIO_AUTH_TOKEN": "0"}
TELNYX = {"TELNYX_API_KEY": "0"}
OURS = {"TRACKLY_SANDBOX", "TRACKLY_CARRIER", "TRACKLY_VALIDATION", "TRACKLY_DO_NOT_CALL", *TWILIO, *TELNYX}


def start(**variables: str) -> "subprocess.CompletedProcess[str]":
    environment = {name: value for name, value in os.environ.items() if name not in OURS}
    program = "import trackly.settings as s; print(s.TRACKLY_CARRIER, s.TRACKLY_VALIDATION)"
    return subprocess.run(
        [sys.executable, "-c", program],
        env={**environment, "SECRET_KEY": "x", **variables},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({}, "['offline'] []"),
        ({"TRACKLY_SANDBOX": "1"}, "['twilio'] ['telnyx']"),
        ({"TRACKLY_CARRIER": "twilio,offline", **TWILIO}, "['twilio', 'offline'] []"),
        ({"TRACKLY_CARRIER": "telnyx", "TRACKLY_VALIDATION": "telnyx", **TELNYX}, "['telnyx'] ['telnyx']"),
    ],
)
def test_settings_that_can_work(variables: dict[str, str], said: str) -> None:
    assert start(**variables).stdout.strip() == said


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
    refused = start(**variables)
    assert refused.returncode != 0
    assert message in refused.stderr
