"""`manage.py create_account`: an account to use, with its key, lists and journeys (contract, last table)."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from accounts.keys import create_key
from accounts.models import Account
from billing.models import BillingConfig, BillingStatus, PaymentMethod
from contacts import phone
from contacts.models import SendingList
from core import codec
from journeys.models import Journey, JourneyStatus

_LONGEST_NAME = 200
_HELLO = "Hi {{first_name|there}}, welcome to {{brand_name}}! Reply STOP to unsubscribe."
BILLING = ["none", "no_payment_method", *BillingStatus.values]


class Command(BaseCommand):
    help = "Create an account with an API key and sending lists. The key is printed once and never again."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name")
        parser.add_argument(
            "--list", action="append", required=True, dest="lists", metavar="+1…", help="E.164; repeatable"
        )
        parser.add_argument("--billing", choices=BILLING, default="none", help="default: none")
        parser.add_argument(
            "--welcome-journey",
            action="append",
            default=[],
            metavar="NAME",
            help="active, with one message, on all the lists",
        )
        parser.add_argument("--json", action="store_true", help="print one line of JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        numbers = list(dict.fromkeys(options["lists"]))
        for name in (options["name"], *options["welcome_journey"]):
            if not name.strip() or len(name) > _LONGEST_NAME:
                raise CommandError(f"A name must have 1 to {_LONGEST_NAME} characters, not {len(name)}.")
        for number in numbers:
            if not phone.is_e164(number):
                raise CommandError(f"--list {number}: not an E.164 number, such as +18005551234")
        created = _create(options["name"], numbers, options["billing"], options["welcome_journey"])
        if options["json"]:
            self.stdout.write(codec.encode(created).decode())
            return
        self.stdout.write(f"Account {created['account_id']}: {options['name']}")
        self.stdout.write(f"API key (shown once): {created['api_key']}")
        for kind in ("lists", "journeys"):
            for made in created[kind]:
                self.stdout.write(f"{kind}: {made}")


@transaction.atomic
def _create(name: str, numbers: list[str], billing: str, journeys: list[str]) -> dict[str, Any]:
    account = Account.objects.create(name=name)
    _, key = create_key(account, name="create_account")
    lists = [
        SendingList.objects.create(account=account, phone_number=number, list_name=name, brand_name=name)
        for number in numbers
    ]
    greeting = []
    for journey_name in journeys:
        joins = {"kind": "list", "operator": "on", "lists": [made.pk for made in lists]}
        journey = Journey.objects.create(
            account=account, name=journey_name, trigger={"kind": "all", "of": [joins]}
        )
        journey.status = JourneyStatus.ACTIVE
        journey.publish([{"kind": "message", "id": "hello", "text": _HELLO}])
        greeting.append({"id": journey.pk, "name": journey.name})
    if billing != "none":
        active = billing == "no_payment_method"
        config = BillingConfig.objects.create(
            account=account, status=BillingStatus.ACTIVE if active else billing
        )
        if not active:
            PaymentMethod.objects.create(billing=config, brand="visa", last_four="4242")
    return {
        "account_id": account.pk,
        "api_key": key,
        "lists": [{"id": made.pk, "phone_number": made.phone_number} for made in lists],
        "journeys": greeting,
    }
