"""API keys: how one looks, what is kept of it, whose it is."""

import hashlib
import hmac
import re
import secrets
import string
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, TypeVar

from django.db import models
from django.db.models import Q
from django.utils import timezone

from trackly import sql
from trackly.accounts.models import Account, ApiKey

KEY_PATTERN = re.compile(r"trk_[A-Za-z0-9]{32}", re.ASCII)
_ALPHABET = string.ascii_letters + string.digits
_USE_IS_RECORDED_EVERY = timedelta(minutes=1)
M = TypeVar("M", bound=models.Model)


def _columns(model: type[models.Model]) -> dict[str, str]:
    """The names of a model's fields, by those of their columns in _FIND."""
    return {
        f"{model._meta.model_name}_{field.column}": field.attname for field in model._meta.concrete_fields
    }


_MODELS: dict[type[models.Model], dict[str, str]] = {model: _columns(model) for model in (ApiKey, Account)}

# By hand: this begins every request, and to put it together the ORM takes longer than all of the rest here.
_FIND = f"""
SELECT {", ".join(f"{name.replace('_', '.', 1)} AS {name}" for names in _MODELS.values() for name in names)}
FROM accounts_apikey AS apikey JOIN accounts_account AS account ON account.id = apikey.account_id
WHERE apikey.digest = %(digest)s AND apikey.revoked_at IS NULL
"""  # noqa: S608 - put together from the models


def digest(key: str) -> bytes:
    """What is stored and looked up. A key has 190 random bits: a plain SHA-256 can't be guessed back."""
    return hashlib.sha256(key.encode()).digest()


def create_key(account: Account, *, name: str) -> tuple[ApiKey, str]:
    """A new key of the account: its row, and the key itself, which nobody can be shown again."""
    key = "trk_" + "".join(secrets.choice(_ALPHABET) for _ in range(32))
    return ApiKey.objects.create(account=account, name=name, digest=digest(key), hint=key[:8]), key


def find_key(key: str) -> ApiKey | None:
    """The key's row with its account, or None for what is malformed, unknown or revoked (contract: 401)."""
    if not KEY_PATTERN.fullmatch(key):
        return None
    given = digest(key)
    for row in sql.rows(_FIND, {"digest": given}):
        found, account = _from_row(ApiKey, row), _from_row(Account, row)
        found.account = account
        # What the index compares is a digest, whose first bytes tell nothing of the key; this takes as long
        # for every key.
        return found if hmac.compare_digest(found.digest, given) else None
    return None


def _from_row(model: type[M], row: Mapping[str, Any]) -> M:
    columns = _MODELS[model]
    return model.from_db("default", columns.values(), [row[name] for name in columns])


def record_use(key: ApiKey) -> None:
    """Note when the key was last used, to the minute: one write a minute, not one a request."""
    now = timezone.now()
    if key.last_used_at is None or now - key.last_used_at > _USE_IS_RECORDED_EVERY:
        stale = Q(last_used_at=None) | Q(last_used_at__lt=now - _USE_IS_RECORDED_EVERY)
        ApiKey.objects.filter(stale, pk=key.pk).update(last_used_at=now)
