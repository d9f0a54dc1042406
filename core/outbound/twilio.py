"""What Twilio's services have in common: credentials, and the errors that mean the same everywhere.

https://www.twilio.com/docs/usage/requests-to-twilio; https://www.twilio.com/docs/api/errors.
"""

import msgspec
from django.conf import settings

from core.outbound.session import Response, basic

TOO_FAST = {20429}
REFUSED = {20003}  # authentication failed
CREDENTIALS = "TWILIO_ACCOUNT_SID, TWILIO_API_KEY and TWILIO_AUTH_TOKEN"


class _Error(msgspec.Struct):
    """What each of Twilio's errors has: docs/usage/twilios-response, "Error and warning"."""

    code: int
    message: str
    status: int


def credentials() -> dict[str, str]:
    """The header of a request: of an API key where there is one, else of the account."""
    return basic(settings.TWILIO_API_KEY or settings.TWILIO_ACCOUNT_SID, settings.TWILIO_AUTH_TOKEN)


def error_code(response: Response) -> int:
    """Twilio's own code in the body of an error; 0: none, so Twilio may not be what answered."""
    try:
        error = msgspec.json.decode(response.content, type=_Error)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return 0
    return error.code if error.status == response.status else 0
