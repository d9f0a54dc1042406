"""Providers' answers and errors, in bodies made after their documentation (fixtures/README.md)."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from core.outbound import Failure, OutboundError, RateLimited, Response
from lookups.line import Line, LineKind
from lookups.sources import realphonevalidation, telnyx, twilio

FIXTURES = Path(__file__).parent / "fixtures"
read_twilio = partial(twilio.read, "+14159929960")
read_telnyx = partial(telnyx.read, "+13129457420")
read_do_not_call = realphonevalidation.read
"""Each of an answer about the number that its fixture is about."""


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
    """What a response is read as: an answer, a failure, or the seconds to wait."""
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    try:
        return read(Response(status=status, content=raw, headers=headers or {}))
    except RateLimited as exc:
        return "too fast", exc.after
    except OutboundError as exc:
        return exc.failure


def test_twilios_mobile() -> None:
    assert outcome(read_twilio, 200, body("twilio_mobile")) == Line(
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
    line = outcome(read_twilio, 200, body("twilio_mobile", line_type_intelligence__type=said))
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
    assert outcome(read_twilio, 200, given).in_service is in_service
    settings.TWILIO_LINE_STATUS = False
    assert outcome(read_twilio, 200, given).in_service is True


def test_a_number_that_twilio_knows_of_no_carrier_for_may_or_may_not_be_in_service() -> None:
    for code in (60600, 60610):
        given = body("twilio_mobile")
        given["line_type_intelligence"] = {"type": None, "carrier_name": None, "error_code": code}
        assert outcome(read_twilio, 200, given) == Line(country="US")


def test_twilio_says_of_a_number_that_it_is_invalid_in_an_answer_and_in_no_error() -> None:
    assert outcome(partial(twilio.read, "+1555"), 200, body("twilio_invalid")) == Line(valid=False)
    assert outcome(read_twilio, 404, body("twilio_error", code=20404, status=404)) is Failure.MISCONFIGURED


TWILIO_CODES: list[tuple[int, int, Any]] = [
    (400, 60600, Failure.PERMANENT),
    (404, 60600, Failure.PERMANENT),
    (404, 60610, Failure.PERMANENT),
    (400, 60607, Failure.PERMANENT),
    (403, 60601, Failure.DEFERRED),
    (401, 20003, Failure.MISCONFIGURED),
    (403, 60606, Failure.MISCONFIGURED),
    (403, 60611, Failure.MISCONFIGURED),
    (403, 60614, Failure.MISCONFIGURED),
    (403, 60619, Failure.MISCONFIGURED),
    (429, 20429, ("too fast", None)),
    (429, 60616, ("too fast", None)),
    (429, 60626, ("too fast", None)),
    (500, 20500, Failure.RETRYABLE),
    (503, 0, Failure.RETRYABLE),
    (402, 20001, Failure.MISCONFIGURED),
    # General errors, which no document ties to the number.
    (400, 20001, Failure.MISCONFIGURED),
    (404, 20404, Failure.MISCONFIGURED),
    (405, 20004, Failure.MISCONFIGURED),
    (410, 20410, Failure.MISCONFIGURED),
    (422, 20422, Failure.MISCONFIGURED),
    (400, 60699, Failure.MISCONFIGURED),
]


@pytest.mark.parametrize(("status", "code", "expected"), TWILIO_CODES)
def test_twilios_documented_errors(status: int, code: int, expected: Any) -> None:
    assert outcome(read_twilio, status, body("twilio_error", code=code, status=status)) == expected


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        *((code, expected) for _, code, expected in TWILIO_CODES if code in range(60601, 60608)),
        *((code, expected) for _, code, expected in TWILIO_CODES if code in range(60611, 60627)),
        (60699, Failure.RETRYABLE),
    ],
)
def test_the_same_errors_inside_an_answer(code: int, expected: Any) -> None:
    assert (
        outcome(read_twilio, 200, body("twilio_mobile", line_type_intelligence__error_code=code)) == expected
    )


@pytest.mark.parametrize(
    "error",
    [
        {"code": 60600},
        {"code": 60600, "message": "…", "status": 200},  # of another answer
        {"code": "60600", "message": "…", "status": 404},
        {"error": {"code": 60600}},
    ],
)
def test_a_code_in_a_body_that_is_not_twilios_says_nothing(error: dict[str, Any]) -> None:
    assert outcome(read_twilio, 404, error) is Failure.MISCONFIGURED


@pytest.mark.parametrize(
    "changes",
    [
        {"phone_number": "+14159929961"},
        {"phone_number": None},
        {"valid": None},
        {"valid": "true"},
        {"validation_errors": "none"},
        {"line_type_intelligence": None},
        {"line_type_intelligence": "mobile"},
    ],
)
def test_an_answer_of_twilios_that_is_not_as_documented_is_none(changes: dict[str, Any]) -> None:
    assert outcome(read_twilio, 200, body("twilio_mobile", **changes)) is Failure.RETRYABLE


@pytest.mark.parametrize("name", ["phone_number", "valid", "validation_errors", "line_type_intelligence"])
def test_an_answer_of_twilios_without_a_documented_member_is_none(name: str) -> None:
    given = body("twilio_mobile")
    del given[name]
    assert outcome(read_twilio, 200, given) is Failure.RETRYABLE


def test_an_answer_about_another_number_is_none_even_if_that_is_invalid() -> None:
    assert outcome(read_twilio, 200, body("twilio_invalid")) is Failure.RETRYABLE


def test_telnyx_voip_number_that_was_ported() -> None:
    assert outcome(read_telnyx, 200, body("telnyx_voip")) == Line(
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
    line = outcome(read_telnyx, 200, body("telnyx_voip", data__carrier__type=said))
    assert (line.kind, line.takes_text) == (kind, takes_text)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"data__carrier__name": ""}, None),
        ({"data__carrier__error_code": "10007"}, None),
        ({"data__carrier__error_code": "10001"}, False),
        ({}, True),
    ],
)
def test_telnyx_may_not_know_whether_a_number_is_in_service(changes: dict[str, Any], expected: Any) -> None:
    assert outcome(read_telnyx, 200, body("telnyx_voip", **changes)).in_service is expected


def test_telnyx_says_little_of_numbers_elsewhere() -> None:
    line = outcome(read_telnyx, 200, body("telnyx_voip", data__portability=None, data__country_code="DE"))
    assert (line.ported, line.country, line.valid) == (False, "DE", True)
    assert not outcome(read_telnyx, 200, body("telnyx_voip", data__valid_number=False)).takes_text


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (422, "10001", Line(in_service=False)),
        (422, "10002", Line(valid=False)),
        (422, "10016", Failure.MISCONFIGURED),  # it was sent in that format
        (400, "10002", Failure.MISCONFIGURED),  # 422 is what it documents for numbers
        (404, "10002", Failure.MISCONFIGURED),
        (404, "10005", Failure.MISCONFIGURED),
        (410, "10001", Failure.MISCONFIGURED),
        (401, "10009", Failure.MISCONFIGURED),
        (403, "10010", Failure.MISCONFIGURED),
        (429, "10011", ("too fast", None)),
        (500, "10007", Failure.RETRYABLE),
        (408, "10008", Failure.RETRYABLE),
        (422, "10015", Failure.MISCONFIGURED),
        (502, "99999", Failure.RETRYABLE),
        (400, "10015", Failure.MISCONFIGURED),
    ],
)
def test_telnyx_documented_errors(status: int, code: str, expected: Any) -> None:
    given = body("telnyx_error")
    given["errors"][0]["code"] = code
    assert outcome(read_telnyx, status, given) == expected


def test_canadian_numbers_without_the_permission_are_refused_and_no_others() -> None:
    given = body("telnyx_error")
    given["errors"][0] |= {"code": "10015", "detail": "+16135550123 is a Canadian number"}
    assert outcome(read_telnyx, 422, given) is Failure.DEFERRED
    assert outcome(read_telnyx, 404, given) is Failure.MISCONFIGURED


@pytest.mark.parametrize(
    "error",
    [
        {"errors": [{"code": "10002"}]},
        {"errors": "10002"},
        {"errors": []},
        {"code": "10002", "title": "Invalid phone number"},
    ],
)
def test_a_code_in_a_body_that_is_not_telnyxs_says_nothing(error: dict[str, Any]) -> None:
    assert outcome(read_telnyx, 422, error) is Failure.MISCONFIGURED


@pytest.mark.parametrize(
    "changes",
    [
        {"data": None},
        {"data__phone_number": "+13129457421"},
        {"data__phone_number": None},
        {"data__record_type": "caller_name"},
        {"data__carrier": None},
        {"data__carrier": []},
        {"data__valid_number": "yes"},
    ],
)
def test_an_answer_of_telnyxs_that_is_not_as_documented_is_none(changes: dict[str, Any]) -> None:
    assert outcome(read_telnyx, 200, body("telnyx_voip", **changes)) is Failure.RETRYABLE


def test_telnyx_needs_no_carrier_for_a_number_that_is_invalid() -> None:
    given = body("telnyx_voip", data__valid_number=False, data__carrier=None)
    assert outcome(read_telnyx, 200, given) == Line(valid=False, country="US")


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
        ({"national_dnc": "?"}, Failure.RETRYABLE),
        ({"RESPONSECODE": "unauthorized"}, Failure.MISCONFIGURED),
        ({"RESPONSECODE": "invalid phone"}, Failure.PERMANENT),
        ({"RESPONSECODE": "invalid format"}, Failure.RETRYABLE),  # it was sent ten digits
        ({"RESPONSECODE": "something new"}, Failure.RETRYABLE),
        ({"RESPONSECODE": None}, Failure.RETRYABLE),
        ({"national_dnc": ""}, Failure.RETRYABLE),
        ({"national_dnc": "N", "litigator": None}, Failure.RETRYABLE),
        ({"national_dnc": "N", "dma": "no"}, Failure.RETRYABLE),
        ({"RESPONSECODE": "server-unavailable"}, Failure.RETRYABLE),
        ({"RESPONSECODE": "error"}, Failure.RETRYABLE),
    ],
)
def test_the_do_not_call_lists(changes: dict[str, Any], expected: Any) -> None:
    assert outcome(read_do_not_call, 200, body("realphonevalidation_listed", **changes)) == expected


@pytest.mark.parametrize("read", [read_twilio, read_telnyx, read_do_not_call])
@pytest.mark.parametrize(
    ("status", "content", "headers", "expected"),
    [
        (200, b"<html>\xff\xfe", {}, Failure.RETRYABLE),
        (200, b"", {}, Failure.RETRYABLE),
        (200, b"[]", {}, Failure.RETRYABLE),
        (200, b'{"valid": "yes"}', {}, Failure.RETRYABLE),
        (200, b"[" * 100_000, {}, Failure.RETRYABLE),
        (200, b"{}", {}, Failure.RETRYABLE),
        (200, b"<html>Sign in</html>", {"Content-Type": "text/html"}, Failure.RETRYABLE),
        (201, b"{}", {}, Failure.MISCONFIGURED),
        (204, b"", {}, Failure.MISCONFIGURED),
        (301, b"", {"Location": "http://169.254.169.254/"}, Failure.MISCONFIGURED),
        *(
            (status, content, {}, Failure.MISCONFIGURED)
            for status in (400, 401, 402, 403, 404, 405, 406, 410, 415, 418, 421, 422, 426, 431, 451)
            for content in (b"", b"<html>Blocked</html>", b"{}", b'{"error": "unknown path"}', b"[]")
        ),
        (429, b"<html>", {"Retry-After": "7"}, ("too fast", 7.0)),
        (429, b"", {"Retry-After": "soon"}, ("too fast", None)),
        (504, b"<html>", {}, Failure.RETRYABLE),
        (403, b"<html>", {}, Failure.MISCONFIGURED),
    ],
)
def test_nonsense_and_bare_statuses(
    read: Any, status: int, content: bytes, headers: dict[str, str], expected: Any
) -> None:
    assert outcome(read, status, content, headers) == expected


@pytest.mark.parametrize(
    ("read", "status", "expected"),
    [
        (read_twilio, 404, "Twilio answered 404 to /v2/PhoneNumbers: check TWILIO_LOOKUPS_URL"),
        (read_telnyx, 404, "Telnyx answered 404 to /v2/number_lookup: check TELNYX_URL"),
        (read_telnyx, 401, "Telnyx answered 401 to /v2/number_lookup: check TELNYX_API_KEY and TELNYX_URL"),
        (
            read_do_not_call,
            405,
            "RealPhoneValidation answered 405 to /rpvWebService/DNCLookup.php: check REALPHONEVALIDATION_URL",
        ),
        (
            read_twilio,
            200,
            (
                "Twilio answered 200 to /v2/PhoneNumbers with a body that it does not document (text/html):"
                " check TWILIO_LOOKUPS_URL"
            ),
        ),
        (read_twilio, 503, "Twilio answered 503"),
    ],
)
def test_what_is_wrong_is_said_with_what_to_check(read: Any, status: int, expected: str) -> None:
    page = Response(status=status, content=b"<html>Blocked</html>", headers={"Content-Type": "text/html"})
    with pytest.raises(OutboundError) as caught:
        read(page)
    assert str(caught.value) == expected


def test_the_credentials_of_the_sandbox_are_not_anybodys() -> None:
    assert settings.TWILIO_AUTH_TOKEN == settings.TELNYX_API_KEY == "sandbox"
