"""The Celery tasks of contacts as such; those of batches are in contacts.bulk.tasks."""

import structlog
from celery import shared_task

from billing import validation
from contacts.carriers import again, live
from trackly.leases.hold import hold
from trackly.lookups import once
from trackly.lookups.models import Kind

logger = structlog.get_logger(__name__)


@shared_task(ignore_result=True)
def look_up_again(every: float = 0.0) -> None:
    """By beat: ask once more about unverified numbers; forget what is too old to be of use."""
    with hold("look up again", every=every) as is_ours:
        if not is_ours:
            return
        once.forget(Kind.CARRIER, live.question().ttl)
        for kind in (Kind.VALIDATION, Kind.DO_NOT_CALL):
            once.forget(kind, validation.KEPT)
            once.forget_unanswered(kind, validation.KEPT)
        if verified := again.look_up_again():
            logger.info("verified_later", contacts=verified)
