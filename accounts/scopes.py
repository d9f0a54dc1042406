"""What a key may do (contract, "Reading"). The scope that a request needs stands beside its path."""

from django.db import models


class Scope(models.TextChoices):
    CONTACTS_WRITE = "contacts:write", "send and change contacts"
    CONTACTS_READ = "contacts:read", "see contacts, jobs, usage"
    PRIVACY = "privacy", "erase and export a person's data"
    WEBHOOKS = "webhooks", "manage webhook endpoints"


def all_scopes() -> list[str]:
    """A key's scopes, unless it is given fewer."""
    return list(Scope.values)
