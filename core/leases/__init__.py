"""Work that must not run twice at once, on any machine: held by a row, for a time, by the database's clock.

A row and not a lock of PostgreSQL's session: it works behind a pool that changes sessions between
transactions (PgBouncer), a holder that vanished or froze is succeeded in seconds, and it tells when the work
last ran.
"""
