"""What had to be mended: a log line and a row of each, for operators, metrics and the admin."""

from datetime import timedelta
from uuid import UUID

import structlog
from django.db.models.functions import Now

from ingestion.models import Incident, IncidentKind

logger = structlog.get_logger(__name__)

KEPT = timedelta(days=30)


def note(kind: IncidentKind, *, job: UUID, count: int, slice_id: int | None = None) -> None:
    """Note an incident. In a transaction it is noted with what was done."""
    logger.warning(str(kind), job=str(job), slice=slice_id, count=count)
    Incident.objects.create(kind=kind, job_id=job, slice_id=slice_id, count=count, at=Now())


def forget() -> None:
    """Delete what is older than KEPT."""
    Incident.objects.filter(at__lt=Now() - KEPT).delete()
