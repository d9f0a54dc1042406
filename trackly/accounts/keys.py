"""API keys: how one looks, what is kept of it, whose it is."""

import hashlib
import hmac
import re
import secrets
import string
from datetime import timedelta

from django.db.models import Q
from django.utils import timezone

from trackly.accounts.models import Account, ApiKey

KEY_PATTERN = re.compile(r"trk_[A-Za-z0-9]{32}", re.ASCII)
_ALPHABET = string.ascii_letters + string.digits
_USE_IS_RECORDED_EVERY = timedelta(minutes=1)


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
    found = ApiKey.objects.select_related("account").filter(digest=given, revoked_at=None).first()
    # What the index compares is a digest, whose first bytes tell nothing of the key; this takes equal time.
    return found if found is not None and hmac.compare_digest(bytes(found.digest), given) else None


def record_use(key: ApiKey) -> None:
    """Note when the key was last used, to the minute: one write a minute, not one a request."""
    now = timezone.now()
    if key.last_used_at is None or now - key.last_used_at > _USE_IS_RECORDED_EVERY:
        stale = Q(last_used_at=None) | Q(last_used_at__lt=now - _USE_IS_RECORDED_EVERY)
        ApiKey.objects.filter(stale, pk=key.pk).update(last_used_at=now)
