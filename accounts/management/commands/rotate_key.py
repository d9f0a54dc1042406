"""`manage.py rotate_key`: a successor for an API key, which works beside it for a while."""

from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.keys import OVERLAP, NotRotatable, rotate_key
from accounts.management.keys import add_options, print_key
from accounts.models import ApiKey

_HOURS = OVERLAP.total_seconds() / 3600


class Command(BaseCommand):
    help = "Give an API key a successor with the same scopes. The new key is printed once and never again."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("key", type=int, metavar="KEY_ID", help="as create_key and the admin show it")
        parser.add_argument(
            "--overlap",
            type=float,
            default=_HOURS,
            metavar="HOURS",
            help=f"for which the old key still works; default: {_HOURS:g}",
        )
        add_options(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        if not options["overlap"] >= 0:
            raise CommandError("--overlap must not be negative.")
        overlap = timedelta(hours=options["overlap"])
        try:
            row, key = rotate_key(options["key"], overlap=overlap, expires_at=options["expires"])
        except ApiKey.DoesNotExist:
            raise CommandError(f"There is no key {options['key']}.") from None
        except NotRotatable as exc:
            raise CommandError(str(exc)) from exc
        print_key(self.stdout, row, key, as_json=options["json"])
