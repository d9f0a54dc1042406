"""What the commands about API keys share."""

from argparse import ArgumentTypeError
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone

from accounts.models import ApiKey
from core import codec
from core.codec import moment


def add_options(parser: CommandParser) -> None:
    """`--expires` and `--json`."""
    parser.add_argument(
        "--expires",
        type=_end_date,
        metavar="2027-01-31T12:00Z",
        help="the new key's end date; default: never",
    )
    parser.add_argument("--json", action="store_true", help="print one line of JSON")


def _end_date(given: str) -> datetime:
    try:
        parsed = datetime.fromisoformat(given)
    except ValueError:
        raise ArgumentTypeError(f"{given!r} is no ISO 8601 date") from None
    end = parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
    if end <= timezone.now():
        raise ArgumentTypeError(f"{given} has passed")
    return end


def print_key(out: Any, row: ApiKey, key: str, *, as_json: bool) -> None:
    """Print the key, once."""
    shown = {"id": row.pk, "api_key": key, "scopes": row.scopes, "expires_at": moment(row.expires_at)}
    if as_json:
        out.write(codec.encode(shown).decode())
        return
    out.write(f"API key {row.pk} ({', '.join(row.scopes)}; expires: {shown['expires_at'] or 'never'})")
    out.write(f"Copy it now; it won't be shown again: {key}")
