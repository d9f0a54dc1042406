"""Statements of the hot path, on Django's connection and in its transaction, but bound by the server.

Django's own cursors bind in the client: they render each parameter into the statement, in Python, which for a
thousand contacts in one parameter is a third of a worker's time (measured; design, "what the profiles said").
"""

from collections.abc import Mapping
from typing import Any

from django.db import connection
from psycopg import Cursor
from psycopg.rows import dict_row


def rows(statement: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Run `statement`; the rows that it returns, by column name.

    Raises django.db's errors, as a cursor of Django's would. Call it inside `transaction.atomic`.
    """
    connection.ensure_connection()
    with connection.wrap_database_errors, Cursor(connection.connection, row_factory=dict_row) as cursor:
        cursor.execute(statement, parameters)
        return cursor.fetchall() if cursor.description else []
