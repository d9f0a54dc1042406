"""Accounts (the service's tenants) and their API keys."""

from datetime import datetime

from django.contrib.postgres.fields import ArrayField
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Q

from accounts.scopes import all_scopes


class Account(models.Model):
    """A customer. Everything that the API shows belongs to one, but for Contact, which is global.

    What belongs to one points at it with DO_NOTHING, here and wherever millions of rows may point at one: the
    database refuses to delete it (by an index, at once), and Django does not load those rows to find out.
    """

    name = models.CharField(max_length=200)
    suspended_at = models.DateTimeField(
        null=True,
        blank=True,
        editable=False,
        help_text="Since when every request is answered 403 account_suspended.",
    )
    rejects_voip = models.BooleanField(
        "rejects VOIP numbers", default=True, help_text="VOIP numbers fail with not_sendable."
    )
    requests_per_minute = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="More are answered 429 rate_limited. Empty: no limit.",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.name


class KeyState(models.TextChoices):
    """Whether requests with a key are answered, and for how long."""

    ACTIVE = "active"
    EXPIRES = "expires"
    """Active, and has an end date."""
    EXPIRED = "expired"
    REVOKED = "revoked"


class ApiKey(models.Model):
    """A key of an account. Of the key itself only a digest is kept (accounts.keys)."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="api_keys")
    name = models.CharField(max_length=100, help_text="What uses it, for people.")
    hint = models.CharField(max_length=8, editable=False, help_text="The key's first characters.")
    digest = models.BinaryField(max_length=32, unique=True, editable=False)
    scopes = ArrayField(
        models.CharField(max_length=32),
        default=all_scopes,
        db_default=all_scopes(),
        help_text="Requests that need another scope are answered 403 forbidden.",
    )
    replaces = models.ForeignKey(
        "self",
        on_delete=models.SET_NULL,
        null=True,
        editable=False,
        related_name="successors",
        help_text="The key whose successor this one is.",
    )
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    expires_at = models.DateTimeField(
        "expires", null=True, blank=True, help_text="From then on requests are answered 401. Empty: never."
    )
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = "API key"
        constraints = [
            models.CheckConstraint(
                condition=Q(scopes__contained_by=all_scopes(), scopes__len__gt=0),
                name="accounts_apikey_scopes_known",
            )
        ]

    def __str__(self) -> str:
        return f"{self.hint}… ({self.name})"

    def state(self, now: datetime) -> KeyState:
        """What the key's dates say at `now`."""
        if self.revoked_at is not None:
            return KeyState.REVOKED
        if self.expires_at is None:
            return KeyState.ACTIVE
        return KeyState.EXPIRED if self.expires_at <= now else KeyState.EXPIRES
