"""What Twilio's services have in common: credentials, and the errors that mean the same everywhere.

https://www.twilio.com/docs/usage/requests-to-twilio; https://www.twilio.com/docs/api/errors.
"""

import msgspec
from django.conf import settings

from trackly.outbound.calling import read_as
from trackly.outbound.errors import OutboundError
from trackly.outbound.http import Response, basic

TOO_FAST = {20429}
REFUSED = {20003}  # authentication failed


class _Error(msgspec.Struct):
    code: int


def credentials() -> dict[str, str]:
    """The header of a request: of an API key where there is one, else of the account."""
    return basic(settings.TWILIO_API_KEY or settings.TWILIO_ACCOUNT_SID, settings.TWILIO_AUTH_TOKEN)


def error_code(response: Response) -> int:
    """Twilio's own code in the body of an error; 0: none."""
    try:
        return read_as(response, _Error).code
    except OutboundError:
        return 0
