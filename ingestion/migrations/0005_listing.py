"""GET /jobs is filtered: one index for all of it, in the place of the one for the unfiltered list."""

from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models
from django.db.models import F


class Migration(migrations.Migration):
    atomic = False  # built beside the work that goes on, which it locks out at no time

    dependencies = [("bulk", "0004_turns")]

    operations = [
        AddIndexConcurrently(
            model_name="bulkjob",
            index=models.Index(
                F("account"),
                F("kind"),
                F("status"),
                F("created_at").desc(),
                F("id").desc(),
                name="bulk_job_listed",
            ),
        ),
        RemoveIndexConcurrently(model_name="bulkjob", name="bulk_job_newest"),
    ]
