"""API keys: how one looks, what is kept of it, whose it is."""

import hashlib
import hmac
import re
import secrets
import string
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

from django.db import models, transaction
from django.utils import timezone

from accounts.models import Account, ApiKey, KeyState
from accounts.scopes import all_scopes
from core import sql

KEY_PATTERN = re.compile(r"trk_[A-Za-z0-9]{32}", re.ASCII)
_ALPHABET = string.ascii_letters + string.digits
_USE_IS_RECORDED_EVERY = timedelta(minutes=1)
HINT_CHARACTERS = 8
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
    AND (apikey.expires_at IS NULL OR apikey.expires_at > clock_timestamp())
"""

# Skips a row that is locked: a request waits neither for another that does the same, nor for an
# administrator's edit of the key.
_USED = """
UPDATE accounts_apikey SET last_used_at = now() WHERE id = (
    SELECT id FROM accounts_apikey
    WHERE id = %(id)s AND (last_used_at IS NULL OR last_used_at < now() - %(every)s::interval)
    FOR NO KEY UPDATE SKIP LOCKED
)
"""

OVERLAP = timedelta(hours=24)
"""How long a key that was rotated works beside its successor, unless told otherwise."""


class NotRotatable(Exception):
    """The key can't be given a successor; the text says why."""


def digest(key: str) -> bytes:
    """What is stored and looked up. A key has 190 random bits: a plain SHA-256 can't be guessed back."""
    return hashlib.sha256(key.encode()).digest()


def create_key(
    account: Account,
    *,
    name: str,
    scopes: Sequence[str] | None = None,
    expires_at: datetime | None = None,
    replaces: ApiKey | None = None,
) -> tuple[ApiKey, str]:
    """A new key of the account: its row, and the key itself, which can't be shown again.

    `scopes`: what it may do, by default everything; `expires_at`: from then on it is refused.
    """
    key = "trk_" + "".join(secrets.choice(_ALPHABET) for _ in range(32))
    row = ApiKey.objects.create(
        account=account,
        name=name,
        digest=digest(key),
        hint=key[:HINT_CHARACTERS],
        scopes=all_scopes() if scopes is None else list(scopes),
        expires_at=expires_at,
        replaces=replaces,
    )
    return row, key


@transaction.atomic
def rotate_key(
    key_id: int, *, overlap: timedelta = OVERLAP, expires_at: datetime | None = None
) -> tuple[ApiKey, str]:
    """Give the key a successor with the same name and scopes: its row, and the new key itself.

    The old key works for `overlap` longer, or until its own end date if that comes first. `expires_at`: the
    successor's end date. Raises NotRotatable for a key that does not work any more, or that has a successor
    which does: a second click must not make a second one.
    """
    now = timezone.now()
    old = ApiKey.objects.select_for_update(of=("self",)).select_related("account").get(pk=key_id)
    if (state := old.state(now)) in {KeyState.REVOKED, KeyState.EXPIRED}:
        raise NotRotatable(f"{old.hint}… is {state.label.lower()}. Create a new key instead.")
    for other in old.successors.all():
        if other.state(now) not in {KeyState.REVOKED, KeyState.EXPIRED}:
            raise NotRotatable(
                f"{old.hint}… already has a successor: {other.hint}…. If that was lost, revoke it first."
            )
    end = now + overlap
    old.expires_at = end if old.expires_at is None else min(end, old.expires_at)
    old.save(update_fields=["expires_at"])
    return create_key(old.account, name=old.name, scopes=old.scopes, expires_at=expires_at, replaces=old)


def hint_of(key: str) -> str | None:
    """The first characters of what looks like a key, known or not; the rest is a secret."""
    return key[:HINT_CHARACTERS] if KEY_PATTERN.fullmatch(key) else None


def find_key(key: str) -> ApiKey | None:
    """The key's row with its account, or None (contract: 401).

    None for a key that is malformed, unknown, revoked or, by the database's clock, past its end date.
    """
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
    if key.last_used_at is None or timezone.now() - key.last_used_at > _USE_IS_RECORDED_EVERY:
        sql.rows(_USED, {"id": key.pk, "every": _USE_IS_RECORDED_EVERY})
