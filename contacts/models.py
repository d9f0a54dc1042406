"""Numbers, the lists they are on, and what is known of both."""

from django.core.validators import RegexValidator
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from accounts.models import Account

MAX_NAME_CHARACTERS = 200
"""Of a list's two names."""


class ListStatus(models.TextChoices):
    ACTIVE = "active"
    """Messages go out, contacts come in."""
    PAUSED = "paused"
    """Nothing goes out; contacts still come in."""
    DELETED = "deleted"
    """Gone for the API (`list_not_found`); kept, because memberships and messages point at it."""


class SendingList(models.Model):
    """A number that an account sends from, and the contacts that signed up for it."""

    account = models.ForeignKey(Account, on_delete=models.DO_NOTHING, related_name="sending_lists")
    phone_number = models.CharField(
        max_length=16,
        validators=[
            RegexValidator(r"^\+[1-9][0-9]{1,14}\Z", "Must be an E.164 number, such as +18005551234.")
        ],
        help_text="E.164",
    )
    brand_name = models.CharField(max_length=MAX_NAME_CHARACTERS, blank=True)
    list_name = models.CharField(max_length=MAX_NAME_CHARACTERS, blank=True)
    status = models.CharField(max_length=16, choices=ListStatus, default=ListStatus.ACTIVE)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            # A deleted list's number may come back as a new list.
            models.UniqueConstraint(
                "account",
                "phone_number",
                condition=~Q(status=ListStatus.DELETED),
                name="sending_list_unique_number",
            ),
            models.CheckConstraint(
                condition=Q(status__in=ListStatus.values), name="sending_list_status_known"
            ),
        ]

    def __str__(self) -> str:
        return self.list_name or self.phone_number


class LineType(models.TextChoices):
    """What `GET /contacts` calls the kind of line (contract, "The rest")."""

    CELL_PHONE = "CELL PHONE", "cell phone"
    VOIP = "VOIP", "VOIP"
    LANDLINE = "LANDLINE", "landline"
    UNKNOWN = "UNKNOWN", "unknown"


class Contact(models.Model):
    """A phone number: one row in the whole system, whichever accounts know it.

    The carrier's facts are those of the last look-up that was answered; until then the number is unverified.
    """

    phone_number = models.TextField(db_collation="C", help_text="E.164")
    carrier = models.CharField(max_length=200, blank=True)
    line_type = models.CharField(max_length=10, choices=LineType, default=LineType.UNKNOWN)
    time_zone = models.CharField(max_length=64, blank=True, help_text="IANA name")
    can_receive = models.BooleanField(
        default=True, help_text="The carrier says the number is in service and can take a text message."
    )
    not_sendable_reason = models.CharField(
        max_length=16,
        blank=True,
        default="",
        db_default="",
        help_text="Why it can't take a text message; empty: it can, or it was verified before this was kept.",
    )
    verified_at = models.DateTimeField(
        null=True, blank=True, help_text="When a carrier look-up last answered; empty: unverified."
    )
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            # Not `unique=True`: Django would add an index for LIKE, and in C collation this one serves it.
            models.UniqueConstraint(fields=["phone_number"], name="contact_phone_number"),
        ]

    def __str__(self) -> str:
        return self.phone_number


class SignupMethod(models.TextChoices):
    API = "api", "API"
    """`POST /contacts` or `/contacts/bulk`."""
    CSV = "csv", "CSV"
    """A file, by the import command or client."""
    ADMIN = "admin", "admin"
    """By hand."""


class ListContact(models.Model):
    """A contact's membership of a list: one row per contact and list.

    A transaction that writes memberships holds the lock on their Contact's row, so what was read under it
    stays true until the commit.
    """

    sending_list = models.ForeignKey(
        SendingList, on_delete=models.DO_NOTHING, related_name="memberships", db_index=False
    )
    contact = models.ForeignKey(Contact, on_delete=models.CASCADE, related_name="memberships", db_index=False)
    signup_date = models.DateTimeField()
    signup_method = models.CharField(max_length=8, choices=SignupMethod, default=SignupMethod.API)
    ip_address = models.GenericIPAddressField(
        "IP address", null=True, blank=True, help_text="Consent evidence."
    )
    url = models.CharField("URL", max_length=2048, blank=True, help_text="Consent evidence.")
    custom_fields = models.JSONField(default=dict, blank=True)
    unsubscribed_at = models.DateTimeField(null=True, blank=True, help_text="Set: the contact opted out.")
    created_at = models.DateTimeField(default=timezone.now)
    updated_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name = "list membership"
        constraints = [
            # Contact first: the same index finds a contact's memberships on all lists.
            models.UniqueConstraint(fields=["contact", "sending_list"], name="list_contact_unique"),
        ]
        indexes = [
            # A page of GET /contacts, however deep, is found in this index alone.
            models.Index(
                "sending_list",
                F("signup_date").desc(),
                F("id").desc(),
                include=["unsubscribed_at"],
                name="list_contact_newest",
            )
        ]

    def __str__(self) -> str:
        return f"{self.contact} on {self.sending_list}"


class ListTally(models.Model):
    """How many members a list has: the sum of its rows.

    Triggers on memberships append to it, one row a statement and list, so no writer waits for another's;
    the sweep adds rows up (contacts.tally). To count a million memberships takes longer than to show a page.
    """

    # The database cascades: the trigger still writes here while Django deletes a list's members one by one.
    sending_list = models.ForeignKey(
        SendingList, on_delete=models.DO_NOTHING, db_constraint=False, related_name="tallies"
    )
    members = models.BigIntegerField()
    active = models.BigIntegerField(help_text="Of these, those who have not unsubscribed.")

    def __str__(self) -> str:
        return f"{self.members:+} of {self.sending_list_id}"
