"""Who uses the service."""

from django.core.validators import MinValueValidator
from django.db import models


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


class ApiKey(models.Model):
    """A key of an account. Of the key itself only a digest is kept (trackly.accounts.keys)."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="api_keys")
    name = models.CharField(max_length=100, help_text="What uses it, for people.")
    hint = models.CharField(max_length=8, editable=False, help_text="The key's first characters.")
    digest = models.BinaryField(max_length=32, unique=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = "API key"

    def __str__(self) -> str:
        return f"{self.hint}… ({self.name})"
