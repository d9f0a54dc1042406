"""The contract's table of sandbox numbers (contract, "Sandbox"): what each of them stands for."""

from dataclasses import dataclass

from lookups.line import LineKind


@dataclass(frozen=True)
class Number:
    """A line of the table."""

    in_service: bool = True
    kind: LineKind = LineKind.MOBILE
    carrier_lookup: str = "answers"
    """answers, fails_once or hangs"""
    validation: str = "answers"
    """answers, fails_once or hangs"""
    valid: bool = True
    validated_in_service: bool | None = True
    """What paid validation says; None: the provider can't tell."""
    on_dnc: bool = False
    ported: bool = False
    validation_delay: float = 0
    """Seconds before paid validation answers."""


NUMBERS = {
    "+13105558888": Number(in_service=False, valid=False),
    "+12025550101": Number(kind=LineKind.VOIP),
    "+12025550102": Number(kind=LineKind.LANDLINE),
    "+12025550103": Number(carrier_lookup="fails_once", validation="fails_once"),
    "+12025550104": Number(carrier_lookup="hangs"),
    "+12025550112": Number(on_dnc=True),
    "+12025550113": Number(validated_in_service=None),
    "+12025550114": Number(validated_in_service=False),
    "+12025550115": Number(valid=False),
    "+12025550116": Number(validation="hangs"),
    "+12025550117": Number(ported=True, validation_delay=2),
}
"""Every other number is a mobile in service (which the sandbox asks about only to validate it)."""

CARRIER = "Sandbox Wireless"
