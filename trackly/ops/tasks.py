"""The Celery tasks of contacts as such; those of batches are in ingestion.tasks."""

import structlog
from celery import shared_task

from billing import validation
from contacts.carriers import again, live
from core.leases.hold import hold
from lookups import single_flight
from lookups.models import Kind

logger = structlog.get_logger(__name__)


@shared_task(name="contacts.tasks.look_up_again", ignore_result=True)
def look_up_again(every: float = 0.0) -> None:
    """By beat: ask once more about unverified numbers; forget what is too old to be of use."""
    with hold("look up again", every=every) as is_ours:
        if not is_ours:
            return
        single_flight.forget(Kind.CARRIER, live.question().ttl)
        for kind in (Kind.VALIDATION, Kind.DO_NOT_CALL):
            single_flight.forget(kind, validation.KEPT)
            single_flight.forget_unanswered(kind, validation.KEPT)
        if verified := again.look_up_again():
            logger.info("verified_later", contacts=verified)
