"""Suspending, resuming and closing an account. Each may be asked for twice, and takes effect once."""

from typing import Any

from django.db import transaction
from django.db.models import Exists, ForeignKey, ManyToOneRel, Model, OuterRef
from django.utils import timezone

from accounts.models import Account, ApiKey


def suspend(account_id: int) -> bool:
    """Answer the account's requests 403 from now on; False: they were already.

    Its journeys and messages wait until it is resumed (journeys.engine, journeys.messages).
    """
    active = Account.objects.filter(pk=account_id, suspended_at=None)
    return bool(active.update(suspended_at=timezone.now()))


def resume(account_id: int) -> bool:
    """End a suspension; False: there was none."""
    suspended = Account.objects.filter(pk=account_id, suspended_at__isnull=False)
    return bool(suspended.update(suspended_at=None))


def close(account_id: int) -> int:
    """Suspend the account and revoke its keys; how many were revoked. What belongs to it is kept."""
    with transaction.atomic():
        suspend(account_id)
        return ApiKey.objects.filter(account=account_id, revoked_at=None).update(revoked_at=timezone.now())


def belongings(account: Account) -> list[str]:
    """What belongs to an account, by the tables' names, but for its keys. One query, which counts nothing."""
    fields = [field for field in referring(Account) if field.model is not ApiKey]
    exists = {
        f"has_{place}": Exists(field.model._base_manager.filter(**{field.name: OuterRef("pk")}))
        for place, field in enumerate(fields)
    }
    found = Account.objects.filter(pk=account.pk).values(**exists).first() or {}
    return [
        str(field.model._meta.verbose_name_plural)
        for name, field in zip(exists, fields, strict=True)
        if found.get(name)
    ]


def referring(model: type[Model]) -> list["ForeignKey[Any, Any]"]:
    """The foreign keys to a model, also those that have no name on its side."""
    relations = model._meta.get_fields(include_hidden=True)
    return [
        relation.field
        for relation in relations
        if isinstance(relation, ManyToOneRel) and isinstance(relation.field, ForeignKey)
    ]
