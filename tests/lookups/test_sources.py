"""Providers' answers and errors, in bodies made after their documentation (fixtures/README.md)."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from trackly.lookups.line import Line, LineKind
from trackly.lookups.sources import realphonevalidation, telnyx, twilio
from trackly.outbound import OutboundError, Response, TooFast, Verdict

FIXTURES = Path(__file__).parent / "fixtures"


def body(name: str, **changes: Any) -> dict[str, Any]:
    """A recorded body, some members of which (`a__b`) are changed."""
    found: dict[str, Any] = json.loads((FIXTURES / f"{name}.json").read_text())
    for path, value in changes.items():
        *parents, last = path.split("__")
        place = found
        for parent in parents:
            place = place[parent]
        place[last] = value
    return found


def outcome(
    read: Callable[[Response], Any], status: int, content: Any, headers: dict[str, str] | None = None
) -> Any:
    """What a response is read as: an answer, a verdict, or the seconds to wait."""
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    try:
        return read(Response(status=status, content=raw, headers=headers or {}))
    except TooFast as exc:
        return "too fast", exc.after
    except OutboundError as exc:
        return exc.verdict


def test_twilios_mobile() -> None:
    assert outcome(twilio.read, 200, body("twilio_mobile")) == Line(
        in_service=True, kind=LineKind.MOBILE, carrier="verizon", country="US"
    )


@pytest.mark.parametrize(
    ("said", "kind", "takes_text"),
    [
        ("mobile", LineKind.MOBILE, True),
        ("landline", LineKind.LANDLINE, False),
        ("fixedVoip", LineKind.VOIP, True),
        ("nonFixedVoip", LineKind.VOIP, True),
        ("personal", LineKind.PERSONAL, True),
        ("tollFree", LineKind.TOLL_FREE, False),
        ("premium", LineKind.PREMIUM, False),
        ("sharedCost", LineKind.SHARED_COST, False),
        ("uan", LineKind.UAN, False),
        ("voicemail", LineKind.VOICEMAIL, False),
        ("pager", LineKind.PAGER, False),
        ("unknown", LineKind.UNKNOWN, True),
        (None, LineKind.UNKNOWN, True),
        ("something new", LineKind.UNKNOWN, True),
    ],
)
def test_twilios_kinds_of_line(said: str | None, kind: LineKind, takes_text: bool) -> None:
    line = outcome(twilio.read, 200, body("twilio_mobile", line_type_intelligence__type=said))
    assert (line.kind, line.takes_text) == (kind, takes_text)


@pytest.mark.parametrize(
    ("said", "in_service"),
    [
        ("active", True),
        ("reachable", True),
        ("unreachable", True),  # switched off
        ("inactive", False),
        ("unknown", None),
        (None, None),
    ],
)
def test_twilios_line_status_counts_where_it_is_asked_for(
    said: str | None, in_service: bool | None, settings: Any
) -> None:
    given = body("twilio_mobile", line_status={"status": said, "error_code": None if said else 60606})
    settings.TWILIO_LINE_STATUS = True
    assert outcome(twilio.read, 200, given).in_service is in_service
    settings.TWILIO_LINE_STATUS = False
    assert outcome(twilio.read, 200, given).in_service is True


def test_a_number_that_twilio_knows_of_no_carrier_for_may_or_may_not_be_in_service() -> None:
    for code in (60600, 60610):
        given = body("twilio_mobile")
        given["line_type_intelligence"] = {"type": None, "carrier_name": None, "error_code": code}
        assert outcome(twilio.read, 200, given) == Line(country="US")


def test_an_invalid_number_is_one_to_twilio_in_both_ways_of_saying_it() -> None:
    assert not outcome(twilio.read, 200, body("twilio_invalid")).takes_text
    assert outcome(twilio.read, 404, body("twilio_error", code=20404)) == Line(valid=False)


TWILIO_CODES: list[tuple[int, int, Any]] = [
    (401, 20003, Verdict.NOT_US),
    (403, 60606, Verdict.NOT_US),
    (403, 60611, Verdict.NOT_US),
    (403, 60614, Verdict.NOT_US),
    (403, 60619, Verdict.NOT_US),
    (403, 60601, Verdict.NOT_THIS),
    (400, 60607, Verdict.NOT_THIS),
    (429, 20429, ("too fast", None)),
    (429, 60616, ("too fast", None)),
    (429, 60626, ("too fast", None)),
    (500, 20500, Verdict.TRY_AGAIN),
    (503, 0, Verdict.TRY_AGAIN),
    (400, 20001, Verdict.NOT_THIS),
    (402, 20001, Verdict.NOT_US),
]


@pytest.mark.parametrize(("status", "code", "expected"), TWILIO_CODES)
def test_twilios_documented_errors(status: int, code: int, expected: Any) -> None:
    assert outcome(twilio.read, status, body("twilio_error", code=code, status=status)) == expected


@pytest.mark.parametrize(
    ("code", "expected"),
    [(code, expected) for _, code, expected in TWILIO_CODES if code > 60600] + [(60699, Verdict.TRY_AGAIN)],
)
def test_the_same_errors_inside_an_answer(code: int, expected: Any) -> None:
    assert (
        outcome(twilio.read, 200, body("twilio_mobile", line_type_intelligence__error_code=code)) == expected
    )


def test_telnyx_voip_number_that_was_ported() -> None:
    assert outcome(telnyx.read, 200, body("telnyx_voip")) == Line(
        in_service=True, kind=LineKind.VOIP, carrier="Telnyx/4", ported=True, country="US"
    )


@pytest.mark.parametrize(
    ("said", "kind", "takes_text"),
    [
        ("mobile", LineKind.MOBILE, True),
        ("fixed line", LineKind.LANDLINE, False),
        ("voip", LineKind.VOIP, True),
        ("fixed line or mobile", LineKind.UNKNOWN, True),
        ("toll free", LineKind.TOLL_FREE, False),
        ("premium rate", LineKind.PREMIUM, False),
        ("shared cost", LineKind.SHARED_COST, False),
        ("personal number", LineKind.PERSONAL, True),
        ("pager", LineKind.PAGER, False),
        ("uan", LineKind.UAN, False),
        ("voicemail", LineKind.VOICEMAIL, False),
        ("unknown", LineKind.UNKNOWN, True),
        ("", LineKind.UNKNOWN, True),
        (None, LineKind.UNKNOWN, True),
    ],
)
def test_telnyx_kinds_of_line(said: str | None, kind: LineKind, takes_text: bool) -> None:
    line = outcome(telnyx.read, 200, body("telnyx_voip", data__carrier__type=said))
    assert (line.kind, line.takes_text) == (kind, takes_text)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"data__carrier__name": ""}, None),
        ({"data__carrier__error_code": "10007"}, None),
        ({"data__carrier__error_code": "10001"}, False),
        ({"data__carrier": None}, None),
        ({}, True),
    ],
)
def test_telnyx_may_not_know_whether_a_number_is_in_service(changes: dict[str, Any], expected: Any) -> None:
    assert outcome(telnyx.read, 200, body("telnyx_voip", **changes)).in_service is expected


def test_telnyx_says_little_of_numbers_elsewhere() -> None:
    line = outcome(telnyx.read, 200, body("telnyx_voip", data__portability=None, data__country_code="DE"))
    assert (line.ported, line.country, line.valid) == (False, "DE", True)
    assert not outcome(telnyx.read, 200, body("telnyx_voip", data__valid_number=False)).takes_text


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (422, "10001", Line(in_service=False)),
        (422, "10002", Line(valid=False)),
        (422, "10016", Line(valid=False)),
        (401, "10009", Verdict.NOT_US),
        (403, "10010", Verdict.NOT_US),
        (429, "10011", ("too fast", None)),
        (500, "10007", Verdict.TRY_AGAIN),
        (408, "10008", Verdict.TRY_AGAIN),
        (422, "10015", Verdict.NOT_THIS),
        (502, "99999", Verdict.TRY_AGAIN),
        (400, "10015", Verdict.NOT_THIS),
    ],
)
def test_telnyx_documented_errors(status: int, code: str, expected: Any) -> None:
    given = body("telnyx_error")
    given["errors"][0]["code"] = code
    assert outcome(telnyx.read, status, given) == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, True),
        ({"national_dnc": "N"}, False),
        ({"national_dnc": "N", "state_dnc": "Y"}, True),
        ({"national_dnc": "N", "dma": "Y"}, True),
        ({"national_dnc": "N", "litigator": "Y"}, True),
        ({"national_dnc": "N", "state_dnc": "?"}, False),
        ({"national_dnc": "?", "state_dnc": "Y"}, True),
        ({"national_dnc": "?"}, Verdict.TRY_AGAIN),
        ({"RESPONSECODE": "unauthorized"}, Verdict.NOT_US),
        ({"RESPONSECODE": "invalid phone"}, Verdict.NOT_THIS),
        ({"RESPONSECODE": "invalid format"}, Verdict.NOT_THIS),
        ({"RESPONSECODE": "server-unavailable"}, Verdict.TRY_AGAIN),
        ({"RESPONSECODE": "error"}, Verdict.TRY_AGAIN),
    ],
)
def test_the_do_not_call_lists(changes: dict[str, Any], expected: Any) -> None:
    assert outcome(realphonevalidation.read, 200, body("realphonevalidation_listed", **changes)) == expected


@pytest.mark.parametrize("read", [twilio.read, telnyx.read, realphonevalidation.read])
@pytest.mark.parametrize(
    ("status", "content", "headers", "expected"),
    [
        (200, b"<html>\xff\xfe", {}, Verdict.TRY_AGAIN),
        (200, b"", {}, Verdict.TRY_AGAIN),
        (200, b"[]", {}, Verdict.TRY_AGAIN),
        (200, b'{"valid": "yes"}', {}, Verdict.TRY_AGAIN),
        (200, b"[" * 100_000, {}, Verdict.TRY_AGAIN),
        (301, b"", {"Location": "http://169.254.169.254/"}, Verdict.NOT_US),
        (429, b"<html>", {"Retry-After": "7"}, ("too fast", 7.0)),
        (429, b"", {"Retry-After": "soon"}, ("too fast", None)),
        (504, b"<html>", {}, Verdict.TRY_AGAIN),
        (403, b"<html>", {}, Verdict.NOT_US),
    ],
)
def test_nonsense_and_bare_statuses(
    read: Any, status: int, content: bytes, headers: dict[str, str], expected: Any
) -> None:
    assert outcome(read, status, content, headers) == expected


def test_the_credentials_of_the_sandbox_are_not_anybodys() -> None:
    assert settings.TWILIO_AUTH_TOKEN == settings.TELNYX_API_KEY == "sandbox"
