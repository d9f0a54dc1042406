"""The stack on one machine, from wheels: PostgreSQL, Redis, web, workers, beat. For trying it, and for tests.

`python -m devstack up | demo | servers`. Nothing of this is used in production.
"""
