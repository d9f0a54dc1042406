"""How the stub says what a number is: in the formats of the providers that it stands in for.

The formats' pages are named in lookups/sources, one file per provider. Twilio's answers are those of
the table's carrier look-up, Telnyx' those of its paid validation.
"""

from typing import Any

from lookups.line import LineKind
from lookups.sandbox import CARRIER, Number

_TWILIO_KINDS = {LineKind.MOBILE: "mobile", LineKind.VOIP: "nonFixedVoip", LineKind.LANDLINE: "landline"}
_TELNYX_KINDS = {LineKind.MOBILE: "mobile", LineKind.VOIP: "voip", LineKind.LANDLINE: "fixed line"}
Answer = tuple[int, dict[str, Any]]
"""Status and body."""


def twilio(asked: str, number: Number) -> Answer:
    works = number.in_service
    line = {
        "error_code": None,
        "mobile_country_code": "311",
        "mobile_network_code": "480",
        "carrier_name": CARRIER,
        "type": _TWILIO_KINDS[number.kind],
    }
    return 200, {
        "calling_country_code": "1",
        "country_code": "US",
        "phone_number": asked,
        "national_format": asked,
        "valid": works,
        "validation_errors": [] if works else ["INVALID_BUT_POSSIBLE"],
        "caller_name": None,
        "sim_swap": None,
        "call_forwarding": None,
        "line_status": {"status": "active" if works else "inactive", "error_code": None},
        "line_type_intelligence": line if works else None,
        "identity_match": None,
        "reassigned_number": None,
        "sms_pumping_risk": None,
        "url": f"https://lookups.twilio.com/v2/PhoneNumbers/{asked}",
    }


def telnyx(asked: str, number: Number) -> Answer:
    if not number.valid:
        return 422, _telnyx_error("10002", "Invalid phone number", "The phone number is invalid.")
    can_tell = number.validated_in_service is not None
    carrier = {
        "error_code": "10001" if number.validated_in_service is False else None,
        "mobile_country_code": "311",
        "mobile_network_code": "480",
        "name": CARRIER if can_tell else "",
        "normalized_carrier": CARRIER if can_tell else "",
        "type": _TELNYX_KINDS[number.kind],
    }
    portability = {
        "lrn": "",
        "ported_status": "Y" if number.ported else "N",
        "ported_date": "2024-02-29" if number.ported else "",
        "ocn": "6529",
        "line_type": _TELNYX_KINDS[number.kind],
        "spid": "6529",
        "spid_carrier_name": CARRIER,
        "city": "WASHINGTON",
        "state": "DC",
    }
    return 200, {
        "data": {
            "caller_name": None,
            "carrier": carrier,
            "country_code": "US",
            "fraud": None,
            "national_format": asked,
            "phone_number": asked,
            "portability": portability,
            "record_type": "number_lookup",
            "valid_number": True,
        }
    }


def do_not_call(_: str, number: Number) -> Answer:
    return 200, {
        "RESPONSECODE": "OK",
        "RESPONSEMSG": "",
        "national_dnc": "Y" if number.on_dnc else "N",
        "state_dnc": "N",
        "dma": "N",
        "litigator": "N",
        "iscell": "Y",
        "id": "4",
    }


def error(service: str, status: int) -> dict[str, Any]:
    """The body of an error of a service's own."""
    if service == "telnyx":
        code = "10011" if status == 429 else "10007"  # Too Many Requests
        return _telnyx_error(code, "Error", "An error of the sandbox's.")
    twilio_code = 20429 if status == 429 else 20500  # Too Many Requests
    more = f"https://www.twilio.com/docs/errors/{twilio_code}"
    return {"code": twilio_code, "message": "An error of the sandbox's.", "more_info": more, "status": status}


def _telnyx_error(code: str, title: str, detail: str) -> dict[str, Any]:
    return {"errors": [{"code": code, "title": title, "detail": detail}]}
