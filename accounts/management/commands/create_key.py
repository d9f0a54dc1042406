"""`manage.py create_key`: another API key for an account, with scopes and an end date."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.keys import create_key
from accounts.management.keys import add_options, print_key
from accounts.models import Account
from accounts.scopes import Scope

_LONGEST_NAME = 100


class Command(BaseCommand):
    help = "Create an API key. The key is printed once and never again."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("account", type=int, metavar="ACCOUNT_ID")
        parser.add_argument("name", help="what uses the key")
        parser.add_argument(
            "--scope",
            action="append",
            dest="scopes",
            choices=Scope.values,
            help="repeatable; default: all",
        )
        add_options(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        account = Account.objects.filter(pk=options["account"]).first()
        if account is None:
            raise CommandError(f"There is no account {options['account']}.")
        name: str = options["name"]
        if not 1 <= len(name.strip()) <= len(name) <= _LONGEST_NAME:
            raise CommandError(f"A name must have 1 to {_LONGEST_NAME} characters, not {len(name)}.")
        row, key = create_key(account, name=name, scopes=options["scopes"], expires_at=options["expires"])
        print_key(self.stdout, row, key, as_json=options["json"])
