"""What the database is told of each session."""

import pytest
from django.db import connection


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("name", "value"), [("idle_in_transaction_session_timeout", "15s"), ("lock_timeout", "10s")]
)
def test_a_session_has_limits_whoever_opens_it(name: str, value: str) -> None:
    """TRACKLY_DB_SESSION_OPTIONS, in force at the server."""
    with connection.cursor() as cursor:
        cursor.execute(f"SHOW {name}")
        assert cursor.fetchone() == (value,)
