"""What an account's paid validations come to, by month (contract, "GET /usage")."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from billing import months
from core import sql

_OF_MONTHS = """
SELECT month, sum(validations)::bigint AS validations, sum(cached)::bigint AS cached,
       sum(micro_dollars)::bigint AS micro_dollars
FROM (
    SELECT date_trunc('month', created_at AT TIME ZONE 'UTC')::date AS month,
           count(*) FILTER (WHERE kind = 'charge') AS validations, 0 AS cached,
           sum(micro_dollars) AS micro_dollars
    FROM billing_ledgerentry
    WHERE account_id = %(account)s AND created_at >= %(begin)s AND created_at < %(end)s
    GROUP BY 1
    UNION ALL
    SELECT month, 0, sum(count), 0 FROM billing_cacheduse
    WHERE account_id = %(account)s AND month >= %(first)s AND month <= %(last)s
    GROUP BY 1
) AS part GROUP BY month
"""

_ADD_UP = """
WITH gone AS (
    DELETE FROM billing_cacheduse WHERE (account_id, month) IN (
        SELECT account_id, month FROM billing_cacheduse GROUP BY account_id, month HAVING count(*) > %(rows)s
    )
    RETURNING account_id, month, count
)
INSERT INTO billing_cacheduse (account_id, month, count)
SELECT account_id, month, sum(count) FROM gone GROUP BY account_id, month
"""
_ROWS_OF_A_MONTH = 20
"""Fewer are not worth adding up."""


@dataclass(frozen=True)
class Usage:
    """A month: results that were paid for, those answered from memory for nothing, and what it comes to."""

    month: date
    validations: int = 0
    cached: int = 0
    micro_dollars: int = 0

    def as_json(self) -> dict[str, Any]:
        """The contract's answer; the cost in dollars, net of refunds and adjustments."""
        return {
            "month": f"{self.month:%Y-%m}",
            "validations": self.validations,
            "cached": self.cached,
            "cost": f"{Decimal(self.micro_dollars) / 1_000_000:.6f}",
        }


def of_months(account_id: int, wanted: list[date]) -> list[Usage]:
    """An account's usage in each of some months that follow each other. One query."""
    parameters = {
        "account": account_id,
        "begin": months.begin(wanted[0]),
        "end": months.begin(months.following(wanted[-1])),
        "first": wanted[0],
        "last": wanted[-1],
    }
    found = {row["month"]: row for row in sql.rows(_OF_MONTHS, parameters)}
    return [Usage(**found[month]) if month in found else Usage(month) for month in wanted]


def add_up() -> None:
    """Make one row of the many that slices append. By the sweep; two at once take a row once."""
    sql.retry_on_conflict(lambda: sql.rows(_ADD_UP, {"rows": _ROWS_OF_A_MONTH}))
