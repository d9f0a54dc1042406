"""Which periodic work is held by which process, and when it last ran."""

from django.db import models


class Lease(models.Model):
    """A kind of work, such as the sweep; made when it first runs."""

    name = models.TextField(primary_key=True)
    holder = models.UUIDField(help_text="Of one run; only it renews and ends the lease.")
    held_until = models.DateTimeField(help_text="Past: the work is free.")
    began_at = models.DateTimeField(help_text="When the last run began.")
    ended_at = models.DateTimeField(null=True, help_text="When the last run that came to its end did.")

    def __str__(self) -> str:
        return self.name
