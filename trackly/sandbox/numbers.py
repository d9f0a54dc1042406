"""The contract's table of sandbox numbers (contract, "Sandbox"): what each of them stands for."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Number:
    """A line of the table, in the words of the stub's own wire format (trackly.sandbox.server)."""

    in_service: bool = True
    line_type: str = "mobile"
    """mobile, voip or landline, by the carrier look-up."""
    carrier_lookup: str = "answers"
    """answers, fails_once or hangs"""
    validation: str = "answers"
    """answers, fails_once or hangs"""
    valid: bool = True
    validated_line_type: str | None = None
    """What paid validation says of the line; None: the same as the carrier look-up."""
    validated_in_service: bool | None = True
    """None: the provider can't tell."""
    on_dnc: bool = False
    ported: bool = False
    validation_delay: float = 0
    """Seconds before paid validation answers."""


NUMBERS = {
    "+13105558888": Number(in_service=False, valid=False),
    "+12025550101": Number(line_type="voip"),
    "+12025550102": Number(line_type="landline"),
    "+12025550103": Number(carrier_lookup="fails_once", validation="fails_once"),
    "+12025550104": Number(carrier_lookup="hangs"),
    "+12025550112": Number(on_dnc=True),
    "+12025550113": Number(validated_in_service=None),
    "+12025550114": Number(validated_in_service=False),
    "+12025550115": Number(valid=False),
    "+12025550116": Number(validation="hangs"),
    "+12025550117": Number(ported=True, validation_delay=2),
}
"""Every other number's paid validation answers a mobile in service; its carrier facts come from metadata."""

CARRIER = "Sandbox Wireless"
TIMEZONE = "America/New_York"
